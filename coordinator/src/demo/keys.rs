//! The switches that have a key in the terminal.

use super::scene::{CARRIERS, SITES};
use super::switchboard::Act;

/// What to press, for the terminal.
pub const HELP: &str = "\
t  break or heal the target        T  break it in another way
c  cut off or connect a carrier    p  a probe from the targets    P  a probe from the coordinators
k  kill the leader, or start again what was killed                h  heal everything
q  quit                            (and Enter after each)";

/// What a key does; `None`: nothing.
pub fn act_of(key: char) -> Option<Act> {
    // The last of the sites shares its carrier with nobody.
    let lonely = SITES[SITES.len() - 1].name;
    Some(match key {
        't' => Act::ToggleTarget,
        'T' => Act::NextMood,
        'c' => Act::ToggleCarrier(CARRIERS[0]),
        'p' => Act::ToggleSite(lonely),
        'P' => Act::ToggleVoice(lonely),
        'k' => Act::Leader,
        'h' => Act::Heal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_help_does_something() {
        for key in ['t', 'T', 'c', 'p', 'P', 'k', 'h'] {
            assert!(act_of(key).is_some() && HELP.contains(&format!("{key}  ")), "{key}");
        }
        assert_eq!(act_of('x'), None);
    }
}
