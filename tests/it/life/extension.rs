//! A WIT interface of the embedder's own: granted, written down, bounded, and ended with the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::wit_extension::WitInterface;
use taskcell::wit_extension::wasmtime::component::{ComponentType, Lift, Lower, Resource};
use taskcell::{
    BuildError, EventBody, FailureKind, Grants, Host, HostBuilder, HostCallError, LoadError, Outcome, SimulatedClock,
    StartRequest,
};
use tokio::sync::Notify;

use crate::support::task::{data, events, failed, outcome, please_stop, seen, start_as};
use crate::support::{builder, fixture, guest, within};

const TIME: Duration = Duration::from_secs(20);

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
#[component(wasmtime_crate = taskcell::wit_extension::wasmtime)]
struct Article {
    name: String,
    pieces: u32,
}

/// A basket of the shop's.
struct Basket;

/// What the shop has seen.
#[derive(Default)]
struct Shop {
    weight: AtomicU32,
    dropped: AtomicU32,
    asked: Notify,
}

/// The interface that the guest `extended` imports.
fn stock(shop: &Arc<Shop>) -> WitInterface {
    let [adding, weighing, dropping, asking] = std::array::from_fn(|_| Arc::clone(shop));
    WitInterface::new("acme:shop/stock@1.0.0")
        .timeout(TIME)
        .resource::<Basket>("basket", move |number| {
            assert_eq!(number, 7);
            dropping.dropped.fetch_add(1, Ordering::SeqCst);
        })
        .function("[method]basket.add", move |_, (_, article): (Resource<Basket>, Article)| {
            adding.weight.fetch_add(article.pieces, Ordering::SeqCst);
            async {}
        })
        .function("[method]basket.weight", move |_, (basket,): (Resource<Basket>,)| {
            let weight = weighing.weight.load(Ordering::SeqCst);
            async move { (weight + basket.rep(),) }
        })
        .function("open", |_, (): ()| async { (Resource::<Basket>::new_own(7),) })
        .function("count", |caller, (article,): (String,)| async move {
            assert_eq!(caller.task.task_type, "count");
            match article.as_str() {
                "bomb" => panic!("the password is 1234"),
                "never" => std::future::pending().await,
                _ => (u32::try_from(article.len()).unwrap(),),
            }
        })
        .fallible("reserve", move |_, (article,): (Article,)| {
            let shop = Arc::clone(&asking);
            async move {
                shop.asked.notify_one();
                match article.pieces {
                    0 => std::future::pending().await,
                    pieces @ 1..=10 => Ok(pieces),
                    _ => Err(format!("there are not so many of {}", article.name)),
                }
            }
        })
}

async fn host(builder: HostBuilder) -> (Host, Arc<Shop>) {
    let shop = Arc::default();
    let host = builder.wit_interface(stock(&shop)).build().unwrap();
    within(host.load_plugin(guest("extended"))).await.unwrap();
    (host, shop)
}

fn wish(task_type: &str, name: &str, pieces: u32) -> StartRequest {
    let grants = Grants::default().function("acme:shop/stock");
    StartRequest::new("extended", task_type).input(json!({"name": name, "pieces": pieces})).grants(grants)
}

async fn answer(host: &Host, request: StartRequest) -> Value {
    data(outcome(&start_as(host, request).await).await)
}

#[tokio::test]
async fn r7_an_interface_of_the_embedders_is_called_with_its_types() {
    let (host, shop) = host(builder()).await;
    let task = start_as(&host, wish("count", "apple", 0)).await;
    assert_eq!(data(outcome(&task).await), json!(5));
    let called =
        |body: &EventBody| matches!(body, EventBody::HostCalled { name, .. } if name == "acme:shop/stock#count");
    assert_eq!(events(&task).await.iter().filter(|event| called(&event.body)).count(), 1);
    let reserved = answer(&host, wish("reserve", "apple", 3)).await;
    assert_eq!(reserved, json!({"reserved": 3, "sorry": null}));
    let sorry = answer(&host, wish("reserve", "apple", 30)).await;
    assert_eq!(sorry, json!({"reserved": null, "sorry": "there are not so many of apple"}));
    assert_eq!(answer(&host, wish("basket", "apple", 3)).await, json!(4 + 7));
    assert_eq!(shop.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn r7_an_interface_needs_its_own_grant() {
    let (host, _) = host(builder()).await;
    let denied = wish("count", "apple", 0).grants(Grants::default().function("acme:shop/other"));
    let failure = failed(outcome(&start_as(&host, denied).await).await, FailureKind::Denied);
    assert!(failure.message.contains("`host:acme:shop/stock`"), "{}", failure.message);
    let told = answer(&host, wish("reserve", "apple", 1).grants(Grants::default())).await;
    assert!(told["sorry"].as_str().unwrap().contains("`host:acme:shop/stock`"), "{told}");
}

#[tokio::test]
async fn t11_a_function_of_an_interface_that_panics_ends_the_task_that_called_it_and_no_other() {
    let (host, _) = host(builder()).await;
    let task = start_as(&host, wish("count", "bomb", 0)).await;
    let failure = failed(outcome(&task).await, FailureKind::Host);
    assert!(failure.message.contains("acme:shop/stock#count"), "{}", failure.message);
    assert_eq!(answer(&host, wish("count", "apple", 0)).await, json!(5));
}

#[tokio::test]
async fn r7_a_function_of_an_interface_has_its_time_and_no_more() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, shop) = host(builder().clock(clock.clone())).await;
    let task = start_as(&host, wish("reserve", "apple", 0)).await;
    within(shop.asked.notified()).await;
    clock.advance(TIME);
    let sorry = data(outcome(&task).await)["sorry"].as_str().unwrap().to_owned();
    assert!(sorry.contains("took longer than its 20"), "{sorry}");

    let silent = start_as(&host, wish("count", "never", 0)).await;
    seen(&silent, |body| matches!(body, EventBody::HostCalled { .. })).await;
    clock.advance(TIME);
    failed(outcome(&silent).await, FailureKind::Host);
}

#[tokio::test]
async fn r7_a_call_of_an_interface_ends_with_its_task() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, shop) = host(builder().clock(clock.clone())).await;
    let task = start_as(&host, wish("reserve", "apple", 0)).await;
    within(shop.asked.notified()).await;
    within(task.cancel(please_stop())).await;
    let sorry = data(outcome(&task).await)["sorry"].clone();
    assert_eq!(sorry, json!("the task was asked to stop"));

    // What cannot say so to its guest has the grace, and then the guest is stopped in the middle of it.
    let silent = start_as(&host, wish("count", "never", 0)).await;
    seen(&silent, |body| matches!(body, EventBody::HostCalled { .. })).await;
    within(silent.cancel(please_stop().grace(Duration::ZERO))).await;
    let end = outcome(&silent).await;
    assert!(matches!(end, Outcome::Cancelled { forced: true, .. }), "{end:?}");
}

#[tokio::test]
async fn r7_a_plugin_that_imports_what_nobody_provides_is_not_loaded() {
    let (plain, _) = fixture().await;
    let error = within(plain.load_plugin(guest("extended"))).await.unwrap_err();
    assert!(
        matches!(&error, LoadError::UnknownImports { imports } if imports == &["acme:shop/stock@1.0.0"]),
        "{error}"
    );
}

#[tokio::test]
async fn r7_an_interface_that_lacks_what_a_plugin_imports_is_a_load_error() {
    let shop = Arc::default();
    let poor = WitInterface::new("acme:shop/stock@1.0.0").function("count", |_, (): ()| async { (1_u32,) });
    let other = || WitInterface::new("acme:shop/stock@2.0.0");
    for interface in [poor, other()] {
        let host = builder().wit_interface(interface).build().unwrap();
        let error = within(host.load_plugin(guest("extended"))).await.unwrap_err();
        assert!(matches!(error, LoadError::TooDemanding(_)), "{error}");
    }
    let twice = builder().wit_interface(stock(&shop)).wit_interface(other()).build();
    assert!(matches!(twice, Err(BuildError::WitInterface { .. })), "{twice:?}");
    // An `E` that is a `string` gets the sentence.
    assert_eq!(String::from(HostCallError::failed("no more")), "no more");
}
