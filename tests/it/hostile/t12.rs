//! T12, what the scratch directory's quota has to withstand of it; the quota's own tests are beside this.

use serde_json::json;

use crate::support::alone::alone;
use crate::support::oracle::Watched;
use crate::support::request;
use crate::support::task::{data, outcome, start_as};

#[test]
fn t12_files_without_number_are_refused_at_the_quota_and_removed() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let mut files = request("many-files", json!({"n": 1_000_000}));
                files.limits = files.limits.scratch_inodes(500);
                let task = start_as(beside.host, files).await;
                beside.goes_on().await;
                let told = data(outcome(&task).await);
                let made = told["made"].as_u64().unwrap();
                assert!((490..=500).contains(&made) && told["error"].is_string(), "{told}");
                vec![task]
            })
            .await;
    });
}
