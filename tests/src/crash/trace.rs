//! What strace writes, read back: one system call after the other, with all bytes.

use std::collections::BTreeMap;

/// System calls that change files, or that say which file a descriptor stands for.
pub(super) const CALLS: &str = "openat,open,creat,close,write,pwrite64,writev,pwritev,pwritev2,\
lseek,ftruncate,truncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,\
link,linkat,symlink,symlinkat,fsync,fdatasync,sync_file_range,mmap,copy_file_range,sendfile,\
splice,dup,dup2,dup3";

/// A system call that has ended.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    /// Negative: it failed.
    pub(super) result: i64,
    /// It failed because the kernel was made to let it fail.
    pub(super) is_injected: bool,
}

#[derive(Debug)]
pub(super) enum Argument {
    Bytes(Vec<u8>),
    Word(String),
}

impl Call {
    pub(super) fn word(&self, at: usize) -> &str {
        match self.arguments.get(at) {
            Some(Argument::Word(word)) => word,
            _ => "",
        }
    }

    pub(super) fn number(&self, at: usize) -> Result<i64, String> {
        let word = self.word(at);
        let number = match word.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.map_err(|_| format!("argument {at} of {} is no number: `{word}`", self.name))
    }

    pub(super) fn bytes(&self, at: usize) -> Result<&[u8], String> {
        match self.arguments.get(at) {
            Some(Argument::Bytes(bytes)) => Ok(bytes),
            _ => Err(format!("argument {at} of {} is no text", self.name)),
        }
    }
}

/// All calls of a trace, in the order of their ends.
pub(super) fn parse(trace: &str) -> Result<Vec<Call>, String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        // Its thread was gone before strace could read what it asked for.
        if rest.ends_with(" <detached ...>") {
            begun.remove(thread);
            continue;
        }
        if let Some(beginning) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, beginning);
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let end = resumed.split_once(" resumed>").ok_or_else(|| odd(line))?.1;
            let beginning = begun.remove(thread).ok_or_else(|| odd(line))?;
            calls.extend(call(&format!("{beginning}{end}")).ok_or_else(|| odd(line))?);
        } else {
            calls.extend(call(rest).ok_or_else(|| odd(line))?);
        }
    }
    Ok(calls)
}

fn odd(line: &str) -> String {
    let shown: String = line.chars().take(200).collect();
    format!("cannot read this line of the trace: {shown}")
}

/// `name(arguments) = result`; `Some(None)` for a call that the end of the process cut off.
fn call(text: &str) -> Option<Option<Call>> {
    let (name, rest) = text.split_once('(')?;
    let (inside, result) = rest.rsplit_once(" = ")?;
    let is_injected = result.ends_with("(INJECTED)");
    let result = result.split(' ').next()?;
    if result == "?" {
        return Some(None);
    }
    let result = match result.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).unwrap_or(i64::MAX),
        None => result.parse().ok()?,
    };
    let inside = inside.trim_end().strip_suffix(')')?;
    // Texts are written as \xNN throughout, so that no comma or bracket stands in them.
    let arguments = inside.split(", ").map(argument).collect::<Option<Vec<_>>>()?;
    Some(Some(Call { name: name.to_owned(), arguments, result, is_injected }))
}

fn argument(text: &str) -> Option<Argument> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(Argument::Word(text.to_owned()));
    };
    let digits = quoted.strip_suffix('"')?;
    let byte = |digits: &str| u8::from_str_radix(digits, 16).ok();
    let bytes = digits.split("\\x").skip(1).map(byte).collect::<Option<Vec<u8>>>()?;
    Some(Argument::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_several_threads_are_put_together() {
        let trace = "7 openat(AT_FDCWD, \"\\x2f\\x61\", O_RDWR|O_CREAT, 0644) = 5\n\
                     7 pwrite64(5, \"\\x01\\xff\", 2, 32 <unfinished ...>\n\
                     8 fsync(6) = -1 EIO (Input/output error) (INJECTED)\n\
                     7 <... pwrite64 resumed>) = 2\n\
                     8 fsync(6 <unfinished ...>) = ?\n\
                     9 ???( <detached ...>\n\
                     8 +++ exited with 1 +++\n";
        let calls = parse(trace).expect("whole");
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["openat", "fsync", "pwrite64"]);
        assert_eq!(calls[0].bytes(1), Ok(&b"/a"[..]));
        assert!(calls[1].is_injected);
        assert_eq!((calls[1].result, calls[2].number(3)), (-1, Ok(32)));
        assert_eq!(calls[2].bytes(1), Ok(&[1, 255][..]));
    }
}
