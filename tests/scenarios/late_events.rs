//! An event that is stored after a recovery has read its time window.

use std::time::Duration;

use domain::delivery::{DeliveryStatus, Task};
use domain::id::EventId;
use domain::job::{Job, Recover};
use domain::webhook::RecoveryWindow;
use store::events;
use store::jobs;
use store::tasks;

use crate::world::{Fate, World};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_event_stored_after_the_recovery_has_passed_is_sent_by_its_own_task() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    let webhook = world.register("receiver").await;
    // A publish request reads the webhook and generates the event's id. It stores the event much
    // later.
    let (task_of, event) = (webhook.clone(), world.new_event());
    tokio::time::sleep(SECOND).await;
    world.disable(webhook.id).await;
    world.enable(webhook.id).await;
    let now = world.app.clock.now();
    let window = RecoveryWindow {
        run: now.unix_ms(),
        first: EventId::first_at(webhook.created_at),
        last: EventId::first_at(now),
        include_failed: true,
        backfill: false,
    };
    let webhook = world.change(webhook.id, |webhook| webhook.add_recovery(window)).await;
    let job = Recover::of_window(&webhook, window);
    jobs::enqueue(&world.app.queues, &world.account, &Job::Recover(job)).await.expect("the queue");
    world.start(2, 1);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(world.posts_to("receiver").len(), 0, "the recovery should find nothing");

    events::put(&world.app.store, &event).await.expect("the table");
    tasks::enqueue(&world.app.queues, &[Task::first(&task_of, event.id)], Duration::ZERO).await.expect("the queue");
    world.wait_for("receiver", 1, 60 * SECOND).await;
    tokio::time::sleep(SECOND).await;
    let delivery = world.delivery(event.id, webhook.id).await.expect("a delivery");
    assert_eq!((delivery.status, delivery.attempts_made), (DeliveryStatus::Delivered, 1));
}
