//! The stories of `crosscheck standalone`, told by the real program, real servers and real mails.

mod standalone {
    mod alarm;
    mod causes;
    mod edits;
    mod restart;
}
