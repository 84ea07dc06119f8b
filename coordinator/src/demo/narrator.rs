//! What happens, in lines for the terminal: only what changed since the last look.

use super::board::Board;

/// Remembers what it has told.
#[derive(Debug, Default)]
pub struct Narrator {
    verdict: String,
    leader: String,
    mails: usize,
}

impl Narrator {
    /// The news on the board.
    pub(super) fn tell(&mut self, board: &Board) -> Vec<String> {
        let mut news = Vec::new();
        let leader = match board.coordinators.iter().find(|member| member.leads) {
            Some(member) => format!("coordinator {} leads", member.node),
            None => "no coordinator leads".to_owned(),
        };
        if self.leader != leader {
            news.push(leader.clone());
            self.leader = leader;
        }
        if let Some(verdict) = &board.verdict {
            let status = verdict.word.to_lowercase();
            // Row 5 names a domain, which may change; elsewhere only numbers do.
            let domain = if verdict.row == Some(5) { &*verdict.why } else { "" };
            let said = format!("{status} {:?} {domain}", verdict.row);
            if self.verdict != said {
                let row = verdict.row.map_or_else(String::new, |row| format!("row {row}: "));
                news.push(format!("the shop is {status} ({row}{})", verdict.rule));
                self.verdict = said;
            }
        }
        let came = board.mails.first().map_or(0, |mail| mail.number);
        let fresh = board.mails.iter().rev().filter(|mail| mail.number > self.mails);
        news.extend(fresh.map(|mail| format!("mail to ops: {}", mail.subject)));
        self.mails = came;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::super::advice::Advice;
    use super::super::board::{CoordinatorLine, MailLine, VerdictLine};
    use super::super::switchboard::Mood;
    use super::*;

    fn board(leader: u64, status: &'static str, mails: usize) -> Board {
        let mail = |number| MailLine {
            number,
            subject: format!("[{number}]"),
            event: String::new(),
            status: "down",
            incident: String::new(),
            fields: Vec::new(),
            text: String::new(),
        };
        Board {
            target: Mood::Works,
            address: String::new(),
            advice: Advice { now: String::new(), try_next: String::new(), button: None },
            verdict: Some(VerdictLine {
                status,
                word: status,
                why: status.to_owned(),
                row: Some(3),
                rule: "4 of 5".to_owned(),
                threshold: String::new(),
                pending: None,
                since: String::new(),
                incident: None,
            }),
            carriers: Vec::new(),
            coordinators: vec![CoordinatorLine {
                node: leader,
                live: true,
                leads: true,
                quorum: true,
            }],
            others: Vec::new(),
            mails: (1..=mails).rev().map(mail).collect(),
        }
    }

    #[test]
    fn each_news_is_told_once() {
        let mut narrator = Narrator::default();
        let first = narrator.tell(&board(1, "up", 0));
        assert_eq!(first, ["coordinator 1 leads", "the shop is up (row 3: 4 of 5)"]);
        assert!(narrator.tell(&board(1, "up", 0)).is_empty());
        let second = narrator.tell(&board(2, "up", 2));
        assert_eq!(second, ["coordinator 2 leads", "mail to ops: [1]", "mail to ops: [2]"]);
        assert_eq!(narrator.tell(&board(2, "up", 3)), ["mail to ops: [3]"]);
    }
}
