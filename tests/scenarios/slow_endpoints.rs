//! Endpoints that hang at the same time do not delay the deliveries to others.

use std::time::Duration;

use crate::world::{Fate, World};

/// Endpoints that hang, as when a hosting provider is down.
const HANGING: usize = 10;
/// Events published, one every 20 ms.
const EVENTS: usize = 400;

#[tokio::test(start_paused = true)]
async fn ten_hanging_endpoints_do_not_delay_a_healthy_one() {
    let world = World::new(|_| Fate::Done, |host| (host == "healthy.example").then_some(200)).await;
    for number in 0..HANGING {
        world.register(&format!("hanging{number}")).await;
    }
    world.register("healthy").await;
    world.start(20, 2);
    for _ in 0..EVENTS {
        world.publish().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let published = world.elapsed();
    let arrived = world.wait_for("healthy", EVENTS, Duration::from_secs(600)).await;
    let late = arrived.saturating_sub(published);
    assert!(
        late < Duration::from_secs(6),
        "the last healthy delivery arrived {late:?} after the last event was published"
    );
}
