//! YAML to a [`crosscheck_model::Config`], every error at once with file, line, column and a hint.
