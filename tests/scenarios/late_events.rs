//! An event may be stored after a recovery has looked for it: what then becomes of it.

use std::time::Duration;

use hookline::delivery::{DeliveryStatus, Wakeup};
use hookline::id::EventId;
use hookline::queue::{self, Job, Recover};
use hookline::store::events;
use hookline::webhook::RecoveryWindow;

use crate::world::{Fate, World};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_stored_after_the_recovery_has_looked_is_sent_by_its_own_task() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    let webhook = world.register("receiver").await;
    // A publish reads the webhook and makes the event's id. It is slow from here on.
    let (task_of, event) = (webhook.clone(), world.new_event());
    tokio::time::sleep(SECOND).await;
    world.disable(webhook.id).await;
    world.enable(webhook.id).await;
    let now = world.app.clock.now();
    let window = RecoveryWindow {
        round: now.unix_ms(),
        first: EventId::first_at(webhook.created_at),
        last: EventId::first_at(now),
    };
    let webhook = world.change(webhook.id, |webhook| webhook.note_recovery(window)).await;
    let job = Recover::begin(&webhook, window);
    queue::send_job(&world.app, &world.account, &Job::Recover(job)).await.expect("the queue");
    world.start(2, 1);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(world.posts_to("receiver").len(), 0, "the recovery finds nothing");

    events::put(&world.app, &event).await.expect("the table");
    queue::send_wakeups(&world.app, &[Wakeup::first(&task_of, event.id)], Duration::ZERO).await.expect("the queue");
    world.wait_for("receiver", 1, 60 * SECOND).await;
    tokio::time::sleep(SECOND).await;
    let delivery = world.delivery(event.id, webhook.id).await.expect("a delivery");
    assert_eq!((delivery.status, delivery.made), (DeliveryStatus::Delivered, 1));
}
