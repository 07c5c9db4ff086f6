//! SQS: when and in which order messages are received, which requests are refused, and what survives a restart.

use super::{clock, open, start};
use crate::{EmbeddedAws, QueueAttributes};
use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    operation::send_message_batch::SendMessageBatchError,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
        MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry, SendMessageBatchResultEntry,
    },
};
use domain::time::{Clock, Timestamp};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use store::aws;
use tokio::time::{Instant, advance};

const QUEUE: &str = "deliveries";
const DEAD: &str = "deliveries-dead";

/// The queue `deliveries`, with a visibility timeout of 30 s. After two receipts, its messages move to the dead-letter queue.
struct Fixture {
    aws: EmbeddedAws,
    client: Client,
}

impl Fixture {
    fn new(data: Option<&Path>) -> Self {
        Self::on(open(data))
    }

    fn on(aws: EmbeddedAws) -> Self {
        aws.create_queue(DEAD, QueueAttributes::default()).expect("created");
        let dead_letter_queue = Some(DEAD.to_owned());
        let settings = QueueAttributes { max_receive_count: 2, dead_letter_queue, ..QueueAttributes::default() };
        aws.create_queue(QUEUE, settings).expect("created");
        Self { client: Client::new(&aws.sdk_config()), aws }
    }

    fn url(&self) -> String {
        self.aws.queue_url(QUEUE)
    }

    async fn send(&self, body: &str, group: &str, delay_seconds: i32) {
        let send = self.client.send_message().queue_url(self.url()).message_body(body).message_group_id(group);
        let answer = send.delay_seconds(delay_seconds).send().await.expect("sent");
        assert!(answer.message_id().is_some());
    }

    /// Receives up to ten messages from `queue`, waiting up to `wait_seconds`.
    async fn receive_from(&self, queue: &str, wait_seconds: i32) -> Vec<Message> {
        let receive = self.client.receive_message().queue_url(self.aws.queue_url(queue)).max_number_of_messages(10);
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        let receive = receive.wait_time_seconds(wait_seconds);
        let wait = Duration::from_secs(wait_seconds.unsigned_abs().into());
        let patience = aws_sdk_sqs::Config::builder().timeout_config(aws::long_poll_timeouts(wait));
        receive.customize().config_override(patience).send().await.expect("received").messages.unwrap_or_default()
    }

    async fn receive(&self) -> Vec<Message> {
        self.receive_from(QUEUE, 0).await
    }

    async fn delete(&self, message: &Message) {
        let receipt = message.receipt_handle().expect("a receipt");
        self.client.delete_message().queue_url(self.url()).receipt_handle(receipt).send().await.expect("accepted");
    }

    async fn hide(&self, message: &Message, seconds: i32) {
        let receipt = message.receipt_handle().expect("a receipt");
        let change = self.client.change_message_visibility().queue_url(self.url()).receipt_handle(receipt);
        change.visibility_timeout(seconds).send().await.expect("changed");
    }

    /// How many messages are visible, in flight and delayed.
    async fn counts(&self, queue: &str) -> [String; 3] {
        let get = self.client.get_queue_attributes().queue_url(self.aws.queue_url(queue));
        let answer = get.attribute_names(QueueAttributeName::All).send().await.expect("there");
        let attributes = answer.attributes().expect("asked for");
        [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ]
        .map(|name| attributes[&name].clone())
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

fn attribute<'a>(message: &'a Message, name: &MessageSystemAttributeName) -> &'a str {
    message.attributes().and_then(|attributes| attributes.get(name)).map_or("none", String::as_str)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_deleted_becomes_visible_after_the_visibility_timeout() {
    let now = Arc::new(AtomicI64::new(start().unix_ms()));
    let shared = Arc::clone(&now);
    let clock = Clock::new(move || Timestamp::from_unix_ms(shared.load(Ordering::SeqCst)));
    let queue = Fixture::on(EmbeddedAws::open(None, clock).expect("opens"));
    queue.send("one", "a", 0).await;
    let first = queue.receive().await;
    assert_eq!(bodies(&first), ["one"]);
    assert_eq!(queue.counts(QUEUE).await, ["0", "1", "0"]);
    now.fetch_add(29_999, Ordering::SeqCst);
    assert!(queue.receive().await.is_empty());
    now.fetch_add(1, Ordering::SeqCst);
    let second = queue.receive().await;
    assert_eq!(attribute(&second[0], &MessageSystemAttributeName::ApproximateReceiveCount), "2");
    let sent = start().unix_ms().to_string();
    assert_eq!(attribute(&second[0], &MessageSystemAttributeName::SentTimestamp), sent);
    assert_eq!(attribute(&second[0], &MessageSystemAttributeName::ApproximateFirstReceiveTimestamp), sent);
    assert_eq!(attribute(&second[0], &MessageSystemAttributeName::MessageGroupId), "a");
    assert_eq!(attribute(&second[0], &MessageSystemAttributeName::SenderId), "embedded");
    // The clock does not move, so the wait ends by tokio's time.
    assert!(queue.receive_from(QUEUE, 20).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_the_delay_the_timeout_or_the_wait() {
    let queue = Fixture::new(None);
    queue.send("delayed", "a", 7).await;
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "1"]);
    let began = Instant::now();
    assert_eq!(queue.receive_from(QUEUE, 20).await.len(), 1);
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    advance(Duration::from_secs(28)).await;
    assert_eq!(queue.receive_from(QUEUE, 20).await.len(), 1);
    assert_eq!(began.elapsed(), Duration::from_secs(37));
    assert!(queue.receive_from(QUEUE, 20).await.is_empty());
    assert_eq!(began.elapsed(), Duration::from_secs(57));
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_receives_new_messages_and_those_made_visible() {
    let queue = Arc::new(Fixture::new(None));
    let poll = |queue: &Arc<Fixture>| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move { queue.receive_from(QUEUE, 20).await })
    };
    let began = Instant::now();
    let waiting = poll(&queue);
    tokio::time::sleep(Duration::from_secs(3)).await;
    queue.send("new", "a", 0).await;
    let received = waiting.await.expect("polled");
    assert_eq!((bodies(&received).as_slice(), began.elapsed().as_secs()), (["new"].as_slice(), 3));

    let waiting = poll(&queue);
    tokio::time::sleep(Duration::from_secs(2)).await;
    queue.hide(&received[0], 4).await;
    assert_eq!(bodies(&waiting.await.expect("polled")), ["new"]);
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
    let queue = Arc::new(Fixture::new(None));
    let dead_letters = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.receive_from(DEAD, 20).await }
    });
    queue.send("poison", "a", 0).await;
    for _ in 0..2 {
        queue.hide(&queue.receive().await[0], 0).await;
    }
    assert!(queue.receive().await.is_empty());
    let dead = dead_letters.await.expect("polled");
    assert_eq!(bodies(&dead), ["poison"]);
    assert_eq!(attribute(&dead[0], &MessageSystemAttributeName::MessageGroupId), "a");
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "0"]);
    assert_eq!(queue.counts(DEAD).await, ["0", "1", "0"]);
}

#[tokio::test(start_paused = true)]
async fn groups_with_few_messages_in_flight_come_first() {
    let queue = Fixture::new(None);
    for number in 0..12 {
        queue.send(&format!("noisy {number}"), "noisy", 0).await;
    }
    queue.send("quiet 0", "quiet", 0).await;
    queue.send("quiet 1", "quiet", 0).await;
    let first = queue.receive().await;
    let expected = ["noisy 0", "quiet 0", "noisy 1", "quiet 1", "noisy 2", "noisy 3"];
    assert_eq!(bodies(&first)[..6], expected);
    queue.send("late", "late", 0).await;
    assert_eq!(bodies(&queue.receive().await)[0], "late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_on_several_threads_never_get_the_same_message() {
    let aws = EmbeddedAws::open(None, Clock::new(start)).expect("opens");
    let queue = Arc::new(Fixture::on(aws));
    for number in 0..200 {
        queue.send(&number.to_string(), &format!("group-{}", number % 7), 0).await;
    }
    let receivers: Vec<_> = std::iter::repeat_with(|| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            loop {
                let received = queue.receive().await;
                if received.is_empty() {
                    return seen;
                }
                for message in received {
                    queue.delete(&message).await;
                    seen.extend(message.body);
                }
            }
        })
    })
    .take(4)
    .collect();
    let mut seen = Vec::new();
    for receiver in receivers {
        seen.extend(receiver.await.expect("ends"));
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (200, 200));
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "0"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_receipt_is_accepted_and_does_nothing() {
    let queue = Fixture::new(None);
    queue.send("one", "a", 0).await;
    let stale = queue.receive().await.remove(0);
    advance(Duration::from_secs(30)).await;
    let current = queue.receive().await.remove(0);
    queue.delete(&stale).await;
    assert_eq!(queue.counts(QUEUE).await, ["0", "1", "0"]);
    // The latest receipt is still valid after the visibility timeout.
    advance(Duration::from_secs(30)).await;
    queue.delete(&current).await;
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "0"]);
    queue.delete(&current).await;

    let nonsense = queue.client.delete_message().queue_url(queue.url()).receipt_handle("nonsense").send().await;
    assert!(nonsense.expect_err("no receipt").into_service_error().is_receipt_handle_is_invalid());
    let gone = queue.client.change_message_visibility().queue_url(queue.url()).visibility_timeout(1);
    let gone = gone.receipt_handle(current.receipt_handle().expect("a receipt")).send().await;
    assert_eq!(gone.expect_err("gone").code(), Some("InvalidParameterValue"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_reports_the_result_of_each_entry() {
    let queue = Fixture::new(None);
    let entry = |id: &str, delay| {
        let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(id).delay_seconds(delay);
        entry.build().expect("complete")
    };
    let send = queue.client.send_message_batch().queue_url(queue.url());
    let send = send.entries(entry("now", 0)).entries(entry("never", 901)).entries(entry("soon", 900));
    let answer = send.send().await.expect("sent");
    let successful: Vec<_> = answer.successful().iter().map(SendMessageBatchResultEntry::id).collect();
    assert_eq!(successful, ["now", "soon"]);
    assert_eq!((answer.failed()[0].id(), answer.failed()[0].code()), ("never", "InvalidParameterValue"));
    assert_eq!(queue.counts(QUEUE).await, ["1", "0", "1"]);

    let received = queue.receive().await;
    let receipt = received[0].receipt_handle().expect("a receipt");
    let hide = ChangeMessageVisibilityBatchRequestEntry::builder().id("now").receipt_handle(receipt);
    let hide = hide.visibility_timeout(60).build().expect("complete");
    let changed = queue.client.change_message_visibility_batch().queue_url(queue.url()).entries(hide).send().await;
    assert_eq!(changed.expect("changed").successful().len(), 1);
    advance(Duration::from_secs(59)).await;
    assert!(queue.receive().await.is_empty());
    let delete = |id, receipt: &str| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt);
        entry.build().expect("complete")
    };
    let deleted = queue.client.delete_message_batch().queue_url(queue.url());
    let deleted = deleted.entries(delete("now", receipt)).entries(delete("other", "nonsense")).send().await;
    let deleted = deleted.expect("answered");
    assert_eq!((deleted.successful()[0].id(), deleted.failed()[0].code()), ("now", "ReceiptHandleIsInvalid"));
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_beyond_the_limits_is_refused_as_a_whole() {
    let queue = Fixture::new(None);
    let send = |entries: Vec<(String, usize)>| {
        let built = entries.into_iter().map(|(id, bytes)| {
            let entry = SendMessageBatchRequestEntry::builder().id(id).message_body("x".repeat(bytes));
            entry.build().expect("complete")
        });
        let request = queue.client.send_message_batch().queue_url(queue.url()).set_entries(Some(built.collect()));
        async { request.send().await.expect_err("refused").into_service_error() }
    };
    let numbered = |count, bytes| (0..count).map(|number| (format!("id-{number}"), bytes)).collect::<Vec<_>>();
    assert!(send(Vec::new()).await.is_empty_batch_request());
    assert!(send(numbered(11, 1)).await.is_too_many_entries_in_batch_request());
    assert!(send(numbered(2, 600 * 1024)).await.is_batch_request_too_long());
    assert!(send(vec![("same".to_owned(), 1); 2]).await.is_batch_entry_ids_not_distinct());
    let error = send(vec![("not an id".to_owned(), 1)]).await;
    assert!(matches!(error, SendMessageBatchError::InvalidBatchEntryId(_)), "{error:?}");
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "0"]);
}

#[tokio::test(start_paused = true)]
async fn requests_that_sqs_does_not_accept_are_refused() {
    let queue = Fixture::new(None);
    let send = |body: &str| queue.client.send_message().queue_url(queue.url()).message_body(body);
    let error = send("\u{ffff}").send().await.expect_err("no XML character").into_service_error();
    assert!(error.is_invalid_message_contents());
    for (request, what) in [
        (send("x").delay_seconds(901), "delay"),
        (send("x").message_group_id("no space"), "group"),
        (send(&"x".repeat(1024 * 1024 + 1)), "length"),
    ] {
        assert_eq!(request.send().await.expect_err(what).code(), Some("InvalidParameterValue"), "{what}");
    }
    let receive = queue.client.receive_message().queue_url(queue.url());
    assert!(receive.clone().max_number_of_messages(11).send().await.is_err());
    assert!(receive.wait_time_seconds(21).send().await.is_err());
    let nowhere = queue.client.send_message().queue_url(queue.aws.queue_url("nowhere")).message_body("x").send().await;
    assert!(nowhere.expect_err("no queue").into_service_error().is_queue_does_not_exist());
    let nowhere = queue.client.get_queue_url().queue_name("nowhere").send().await;
    assert!(nowhere.expect_err("no queue").into_service_error().is_queue_does_not_exist());
}

#[tokio::test(start_paused = true)]
async fn message_attributes_are_returned_and_a_purge_deletes_all_messages() {
    let queue = Fixture::new(None);
    let trace = MessageAttributeValue::builder().data_type("String").string_value("abc").build().expect("complete");
    let send = queue.client.send_message().queue_url(queue.url()).message_body("x").message_attributes("trace", trace);
    send.send().await.expect("sent");
    let receive = queue.client.receive_message().queue_url(queue.url()).visibility_timeout(0);
    let plain = receive.clone().send().await.expect("received").messages.expect("one");
    assert!(plain[0].message_attributes().is_none_or(std::collections::HashMap::is_empty));
    assert!(plain[0].attributes().is_none_or(std::collections::HashMap::is_empty));
    let full = receive.message_attribute_names("trace").send().await.expect("received").messages.expect("one");
    let attributes = full[0].message_attributes().expect("asked for");
    assert_eq!(attributes["trace"].string_value(), Some("abc"));

    let url = queue.client.get_queue_url().queue_name(QUEUE).send().await.expect("there").queue_url;
    assert_eq!(url, Some(queue.url()));
    queue.client.purge_queue().queue_url(queue.url()).send().await.expect("purged");
    assert_eq!(queue.counts(QUEUE).await, ["0", "0", "0"]);
}

#[tokio::test(start_paused = true)]
async fn messages_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = Fixture::new(Some(folder.path()));
    queue.send("in flight", "a", 0).await;
    queue.send("delayed", "b", 60).await;
    queue.send("deleted", "c", 0).await;
    queue.send("postponed", "d", 0).await;
    let received = queue.receive().await;
    assert_eq!(bodies(&received), ["in flight", "deleted", "postponed"]);
    queue.delete(&received[1]).await;
    queue.hide(&received[2], 75).await;
    drop(queue);

    // The queues exist without being created again. The first message is visible at once, because its receiver has ended. The
    // wait that a receiver set is kept, or each restart during the wait would cost the message a receipt.
    let aws = EmbeddedAws::open(Some(folder.path()), clock()).expect("opens");
    let queue = Fixture { client: Client::new(&aws.sdk_config()), aws };
    assert_eq!(queue.counts(QUEUE).await, ["1", "0", "2"]);
    let again = queue.receive().await;
    assert_eq!(bodies(&again), ["in flight"]);
    assert_eq!(attribute(&again[0], &MessageSystemAttributeName::ApproximateReceiveCount), "2");
    // A receipt from before the restart is stale.
    queue.delete(&received[0]).await;
    advance(Duration::from_mins(1)).await;
    assert_eq!(bodies(&queue.receive().await), ["delayed"]);
    advance(Duration::from_secs(20)).await;
    assert_eq!(bodies(&queue.receive().await), ["postponed"]);
    drop(queue);

    let queue = Fixture::new(Some(folder.path()));
    assert_eq!(queue.counts(DEAD).await, ["1", "0", "0"]);
    assert_eq!(bodies(&queue.receive().await), [""; 0]);
}
