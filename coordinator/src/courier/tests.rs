//! The courier against a log that the test plays.

use std::sync::Mutex;

use crosscheck_core::outbox::{Edge, Notice};
use crosscheck_model::{CheckId, ContactId, IncidentId, Severity, Status, Timestamp};
use tokio::sync::oneshot;

use super::*;

/// A command, and how the test answers it.
type Proposal = (Command, oneshot::Sender<Result<Reply, String>>);
/// An errand, and how the test ends it.
type Begun = (Errand, oneshot::Sender<SendResult>);

struct PlayedLog {
    state: Mutex<State>,
    leads: Mutex<bool>,
    proposals: mpsc::Sender<Proposal>,
}

impl Log for PlayedLog {
    async fn submit(&self, command: Command) -> Result<Reply, String> {
        let (answer, answered) = oneshot::channel();
        self.proposals.send((command, answer)).await.map_err(|_| "the test is over")?;
        answered.await.map_err(|_| "no quorum")?
    }

    async fn still_leads(&self, _: u64) -> bool {
        *self.leads.lock().expect("no panic")
    }

    fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock().expect("no panic"))
    }
}

/// The courier of node 3 with one mail owed.
struct Scene {
    log: Arc<PlayedLog>,
    proposals: mpsc::Receiver<Proposal>,
    begun: mpsc::Receiver<Begun>,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
    courier: tokio::task::JoinHandle<()>,
}

const KEY: Key = Key([7; 16]);

fn owed() -> Owed {
    Owed {
        key: KEY,
        contact: ContactId::new("ops"),
        channel: "mail".to_owned(),
        notice: Notice {
            incident: IncidentId(1),
            edge: Edge::Alarm(Status::Down),
            severity: Severity::High,
            check: Some(CheckId::new("shop")),
            target: "shop".to_owned(),
            summary: "It fails.".to_owned(),
            finding: None,
            since: Timestamp::ZERO,
            decided: Timestamp::ZERO,
            ended: None,
            sites: Vec::new(),
            dependents: None,
            runbook: None,
            link: None,
            thread: None,
            alarm_was_lost: false,
            flapping: false,
            drill: false,
        },
        progress: Progress::Queued,
        attempts: 0,
        ambiguous: 0,
        reached: Vec::new(),
        bounced: std::collections::BTreeSet::new(),
        created: Timestamp::ZERO,
        after: Vec::new(),
        last_error: None,
        rerouted: false,
        told_in: None,
        tells: Vec::new(),
    }
}

impl Scene {
    fn new() -> Self {
        let (proposal, proposals) = mpsc::channel(16);
        let (begin, begun) = mpsc::channel(16);
        let mut state = State::default();
        state.outbox.insert(KEY, owed());
        state.config.contacts.insert(ContactId::new("ops"), config::Contact::default());
        let log = Arc::new(PlayedLog {
            state: Mutex::new(state),
            leads: Mutex::new(true),
            proposals: proposal,
        });
        let carry: Carrier = Arc::new(move |errand| {
            let begin = begin.clone();
            Box::pin(async move {
                let (end, ended) = oneshot::channel();
                begin.send((errand, end)).await.expect("the test listens");
                ended.await.expect("the test lets the channel break down")
            })
        });
        let (news, hears) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let courier = Courier::new(Arc::clone(&log), 3, carry).run(hears, stop.clone());
        Self { log, proposals, begun, news, stop, courier: tokio::spawn(courier) }
    }

    async fn tell(&self, news: News) {
        self.news.send(news).await.expect("the courier listens");
    }

    async fn proposal(&mut self) -> Proposal {
        self.proposals.recv().await.expect("a proposal")
    }

    /// Leads in term 5, and answers the claim.
    async fn lead_and_claim(&mut self) {
        self.tell(News::Lead(Some(5))).await;
        let (command, answer) = self.proposal().await;
        assert_eq!(command, Command::Claim { key: KEY, term: 5, node: 3 });
        answer.send(Ok(Reply::Claimed(4))).expect("the courier waits");
    }

    /// What is settled after an attempt; the log then has nothing owed.
    async fn settled(&mut self) -> SendResult {
        let (command, answer) = self.proposal().await;
        let Command::Settle { key: KEY, attempt: 4, result } = command else {
            panic!("{command:?}")
        };
        self.log.state.lock().expect("no panic").outbox.clear();
        answer.send(Ok(Reply::Done)).expect("the courier waits");
        result
    }

    async fn end(self) {
        self.stop.cancel();
        self.courier.await.expect("it ends well");
    }
}

#[tokio::test]
async fn what_is_owed_is_claimed_sent_and_settled() {
    let mut scene = Scene::new();
    scene.lead_and_claim().await;
    let (errand, end) = scene.begun.recv().await.expect("a send");
    assert_eq!(errand.owed.key, KEY);
    assert!(errand.contact.is_some() && errand.channel.is_none());
    end.send(SendResult::Retry("x".repeat(5000))).expect("the courier waits");
    assert_eq!(scene.settled().await, SendResult::Retry("x".repeat(ERROR_LIMIT_CHARS)));
    scene.end().await;
}

#[tokio::test]
async fn nothing_is_sent_without_a_majority_that_says_we_lead() {
    let mut scene = Scene::new();
    *scene.log.leads.lock().expect("no panic") = false;
    scene.lead_and_claim().await;
    // The first claim is given back, and nobody waits for its lease.
    let (command, answer) = scene.proposal().await;
    assert_eq!(command, Command::Release { key: KEY, attempt: 4 });
    answer.send(Ok(Reply::Done)).expect("the courier waits");
    let (command, answer) = scene.proposal().await;
    assert_eq!(command, Command::Claim { key: KEY, term: 5, node: 3 });
    answer.send(Ok(Reply::Rejected("claimed by another".to_owned()))).expect("the courier waits");
    scene.end_without_sends().await;
}

#[tokio::test]
async fn nothing_is_sent_after_the_lead_is_lost() {
    let mut scene = Scene::new();
    scene.tell(News::Lead(Some(5))).await;
    let (_, answer) = scene.proposal().await;
    scene.tell(News::Lead(None)).await;
    scene.stop.cancel();
    answer.send(Ok(Reply::Claimed(4))).expect("the courier waits");
    let (command, answer) = scene.proposal().await;
    assert_eq!(command, Command::Release { key: KEY, attempt: 4 });
    // A courier that stops does not insist.
    drop(answer);
    scene.end_without_sends().await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_looked_for_and_given_back() {
    let mut scene = Scene::new();
    scene.tell(News::Lead(Some(5))).await;
    let (command, answer) = scene.proposal().await;
    assert_eq!(command, Command::Claim { key: KEY, term: 5, node: 3 });
    {
        // It has got into the log all the same.
        let mut state = scene.log.state.lock().expect("no panic");
        let owed = state.outbox.get_mut(&KEY).expect("owed");
        let until = Timestamp::ZERO.plus(CLAIM_LEASE);
        (owed.attempts, owed.progress) = (1, Progress::Claimed { term: 5, node: 3, until });
    }
    drop(answer);
    let (command, answer) = scene.proposal().await;
    assert_eq!(command, Command::Release { key: KEY, attempt: 1 });
    answer.send(Ok(Reply::Done)).expect("the courier waits");
    scene.end_without_sends().await;
}

#[tokio::test]
async fn a_claim_of_a_term_that_is_over_is_not_looked_for_any_more() {
    let mut scene = Scene::new();
    scene.tell(News::Lead(Some(5))).await;
    let (_, answer) = scene.proposal().await;
    scene.log.state.lock().expect("no panic").lead_term = 6;
    drop(answer);
    let (command, answer) = scene.proposal().await;
    assert!(matches!(command, Command::Claim { .. }), "it is claimed anew: {command:?}");
    answer.send(Ok(Reply::Rejected("no".to_owned()))).expect("the courier waits");
    scene.end_without_sends().await;
}

#[tokio::test]
async fn what_has_begun_is_settled_though_the_courier_is_stopped() {
    let mut scene = Scene::new();
    scene.lead_and_claim().await;
    let (_, end) = scene.begun.recv().await.expect("a send");
    scene.stop.cancel();
    end.send(SendResult::Delivered).expect("the courier waits");
    assert_eq!(scene.settled().await, SendResult::Delivered);
    scene.end().await;
}

#[tokio::test]
async fn a_result_that_finds_no_quorum_is_proposed_again() {
    let mut scene = Scene::new();
    scene.lead_and_claim().await;
    let (_, end) = scene.begun.recv().await.expect("a send");
    end.send(SendResult::Delivered).expect("the courier waits");
    let (first, answer) = scene.proposal().await;
    drop(answer);
    let (second, answer) = scene.proposal().await;
    assert_eq!(first, second);
    answer.send(Ok(Reply::Done)).expect("the courier waits");
    scene.end().await;
}

#[tokio::test]
async fn a_channel_that_breaks_down_is_ambiguous_and_takes_nothing_along() {
    let mut scene = Scene::new();
    scene.lead_and_claim().await;
    let (_, end) = scene.begun.recv().await.expect("a send");
    drop(end);
    assert!(matches!(scene.settled().await, SendResult::Ambiguous(_)));
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_carried_is_told_apart_by_who_can_mend_it() {
    let contact = Some(config::Contact::default());
    let channel = |kind: &str, settings: &str| {
        Some(config::Channel { kind: kind.to_owned(), settings: settings.to_owned() })
    };
    for (contact, channel, is_final, word) in [
        (None, channel("mail", "{}"), true, "contact"),
        (contact.clone(), None, true, "not configured"),
        (contact.clone(), channel("pigeon", "{}"), false, "pigeon"),
        (contact.clone(), channel("mail", "{"), false, "EOF"),
        (contact, channel("mail", "{}"), false, "smtp"),
    ] {
        let errand = Errand { owed: owed(), others: Vec::new(), contact, channel };
        let result = carry(&errand, &Secrets::default()).await;
        let text = match &result {
            SendResult::Refused(text) if is_final => text,
            SendResult::Retry(text) if !is_final => text,
            _ => panic!("{word}: {result:?}"),
        };
        assert!(text.contains(word), "{text}");
    }
}

impl Scene {
    /// Ends, and nothing was sent.
    async fn end_without_sends(mut self) {
        self.stop.cancel();
        self.courier.await.expect("it ends well");
        drop(self.log);
        assert!(self.begun.recv().await.is_none(), "something was sent");
    }
}

/// A log of one node around the real state machine.
struct OwnLog(Mutex<State>);

impl Log for OwnLog {
    async fn submit(&self, command: Command) -> Result<Reply, String> {
        let mut state = self.0.lock().expect("no panic");
        let now = state.now;
        Ok(crosscheck_core::apply(&mut state, now, command).reply)
    }

    async fn still_leads(&self, _: u64) -> bool {
        true
    }

    fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.0.lock().expect("no panic"))
    }
}

#[tokio::test]
async fn a_recovery_waits_for_its_alarm_and_says_that_it_was_lost() {
    const END: Key = Key([8; 16]);
    let mut state = State::default();
    let now = Timestamp::from_millis(1_795_341_733_000);
    let lead = Command::Lead { node: 3, term: 5, cluster: "test".to_owned() };
    assert_eq!(crosscheck_core::apply(&mut state, now, lead).reply, Reply::Done);
    let mut recovery = Owed { key: END, after: vec![KEY], ..owed() };
    recovery.notice.edge = Edge::Recovery;
    recovery.notice.severity = Severity::Disaster;
    state.outbox.extend([(KEY, owed()), (END, recovery)]);
    state.config.contacts.insert(ContactId::new("ops"), config::Contact::default());
    let log = Arc::new(OwnLog(Mutex::new(state)));

    let (begin, mut begun) = mpsc::channel(16);
    let carry: Carrier = Arc::new(move |errand: Errand| {
        let begin = begin.clone();
        Box::pin(async move {
            let key = errand.owed.key;
            begin.send(errand.owed).await.expect("the test listens");
            if key == KEY { SendResult::Refused("unknown".into()) } else { SendResult::Delivered }
        })
    });
    let (news, hears) = mpsc::channel(16);
    let courier =
        tokio::spawn(Courier::new(Arc::clone(&log), 3, carry).run(hears, CancellationToken::new()));
    news.send(News::Lead(Some(5))).await.expect("the courier listens");
    let (first, second) = (begun.recv().await.expect("sent"), begun.recv().await.expect("sent"));
    assert_eq!((first.key, second.key), (KEY, END));
    let claimed = matches!(first.progress, Progress::Claimed { term: 5, node: 3, .. });
    assert!(claimed && first.attempts == 1, "{first:?}");
    assert!(second.notice.alarm_was_lost);
    drop(news);
    courier.await.expect("it ends well");
    let ends =
        log.read(|state| state.outbox.values().map(|owed| owed.progress).collect::<Vec<_>>());
    assert_eq!(ends, [Progress::Refused { at: now }, Progress::Delivered { at: now }]);
}
