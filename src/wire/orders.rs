//! The checks of a task as JSON. What is empty is left out; what a newer collector adds is ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::check::Order;
use crate::model::secret::Secret;

#[derive(Serialize, Deserialize)]
struct Wired<'a> {
    service: Cow<'a, str>,
    check: Cow<'a, str>,
    item: Cow<'a, str>,
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    script: Option<Cow<'a, str>>,
    timeout_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_secs: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Cow<'a, str>>,
}

pub(super) fn serialize<S: Serializer>(orders: &[Order], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(orders.iter().map(|order| Wired {
        service: (&order.service).into(),
        check: (&order.check).into(),
        item: (&order.item).into(),
        kind: (&order.kind).into(),
        attributes: order.attributes.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        secrets: order.secrets.iter().map(|(name, secret)| (name.into(), secret.expose().into())).collect(),
        script: order.script.as_ref().map(Cow::from),
        timeout_ms: u64::try_from(order.timeout.as_millis()).unwrap_or(u64::MAX),
        every_secs: order.every.map(|every| every.as_secs()),
        refused: order.refused.as_ref().map(Cow::from),
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Order>, D::Error> {
    let wired = Vec::<Wired<'static>>::deserialize(from)?;
    Ok(wired
        .into_iter()
        .map(|wired| Order {
            service: wired.service.into_owned(),
            check: wired.check.into_owned(),
            item: wired.item.into_owned(),
            kind: wired.kind.into_owned(),
            attributes: owned(wired.attributes).collect(),
            secrets: owned(wired.secrets).map(|(name, text)| (name, Secret::new(text))).collect(),
            script: wired.script.map(Cow::into_owned),
            timeout: Duration::from_millis(wired.timeout_ms),
            every: wired.every_secs.map(Duration::from_secs),
            refused: wired.refused.map(Cow::into_owned),
        })
        .collect())
}

fn owned<'a>(map: BTreeMap<Cow<'a, str>, Cow<'a, str>>) -> impl Iterator<Item = (String, String)> {
    map.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned()))
}
