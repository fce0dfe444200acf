//! A plugin that imports an interface of its embedder's own, `acme:shop/stock`.
#![cfg(target_family = "wasm")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

mod shop {
    wit_bindgen::generate!({
        inline: "
            package acme:shop@1.0.0;

            interface stock {
                record article { name: string, pieces: u32 }
                resource basket { add: func(article: article); weight: func() -> u32; }
                open: func() -> basket;
                count: func(article: string) -> u32;
                reserve: func(article: article) -> result<u32, string>;
            }

            world shop { import stock; }
        ",
    });
}

use shop::acme::shop::stock::{self, Article};

#[derive(Deserialize, JsonSchema)]
struct Wish {
    name: String,
    pieces: u32,
}

#[derive(Serialize, JsonSchema)]
struct Answer {
    /// What it was told.
    reserved: Option<u32>,
    /// Why it was told nothing.
    sorry: Option<String>,
}

/// Counts an article, by a function that cannot say no.
#[task]
fn count(_ctl: &TaskCtl, input: Wish) -> Result<u32, TaskError> {
    Ok(stock::count(&input.name))
}

/// Reserves an article, by a function that can.
#[task]
fn reserve(_ctl: &TaskCtl, input: Wish) -> Result<Answer, TaskError> {
    Ok(match stock::reserve(&Article { name: input.name, pieces: input.pieces }) {
        Ok(reserved) => Answer { reserved: Some(reserved), sorry: None },
        Err(sorry) => Answer { reserved: None, sorry: Some(sorry) },
    })
}

/// Fills a basket, drops it, and says what it weighed.
#[task]
fn basket(_ctl: &TaskCtl, input: Wish) -> Result<u32, TaskError> {
    let basket = stock::open();
    basket.add(&Article { name: input.name.clone(), pieces: input.pieces });
    basket.add(&Article { name: input.name, pieces: 1 });
    Ok(basket.weight())
}

plugin! {
    name: "extended",
    version: env!("CARGO_PKG_VERSION"),
    description: "Calls an interface of its embedder's.",
    tasks: [count, reserve, basket],
}
