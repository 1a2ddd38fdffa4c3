//! Bad rows among good ones: they alone are left out, counted, and leave nothing behind.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::any;

use super::expected::expected;
use super::faults::too_deep;
use super::full::full;
use super::known::Known;
use super::messages::groups;
use super::refused::{MARK, contains, mark};
use super::store::Store;
use super::texts::{group_texts, scope_texts, texts};
use super::tree::{Fault, Group, ScopeGroup, Telemetry, encode, items, one_group};
use super::{INVALID, NOW, arrival, for_all, for_every_signal, tables};
use crate::decode::Arrival;

for_every_signal! {
    bad_rows_are_left_out
    every_fault_takes_its_rows
    every_text_is_checked
    every_text_above_rows_is_checked
}

/// Does not take the last times there are.
fn closed() -> Arrival {
    Arrival {
        earliest: 1,
        latest: u64::MAX - 1,
        ..arrival(NOW)
    }
}

/// Scenario: rows, scopes and resources of arbitrary requests are made bad in every way, with the mark in
/// all texts of what has no good row; a request without faults comes before and after.
/// Guarantees: the chunk holds all good rows with their resources and series and nothing of the bad ones,
/// whose number is told.
fn bad_rows_are_left_out<S: Telemetry>() {
    let strategy = (groups::<S>(), groups::<S>(), any::<u64>(), any::<u8>());
    for_all(96, strategy, |(other, mut bad, seed, choice)| {
        damage::<S>(&mut bad, &mut Rng::with_seed(seed));
        assert_only_bad_rows_are_left_out::<S>(&other, &bad, choice);
    });
}

/// Scenario: the same with a full request and each fault in turn, before and after a good item.
/// Guarantees: as above, and every fault takes at least one row.
fn every_fault_takes_its_rows<S: Telemetry>() {
    for fault in S::FAULTS {
        let mut request = full::<S>();
        let good = request[0].scopes[0].items.clone();
        for item in items(&mut request) {
            fault(item);
            S::texts(item, &mut mark);
        }
        request[0].scopes[0].items.extend(good);
        assert_only_bad_rows_are_left_out::<S>(&full::<S>(), &request, 0);
    }
}

/// Scenario: in a full request each text of each item in turn is no UTF-8.
/// Guarantees: as above.
fn every_text_is_checked<S: Telemetry>() {
    let mut count = 0;
    items(&mut full::<S>()).for_each(|item| S::texts(item, &mut |_| count += 1));
    assert!(count > 0);
    for bad in 0..count {
        let mut request = full::<S>();
        let mut at = 0;
        items(&mut request).for_each(|item| {
            S::texts(item, &mut |text| {
                if at == bad {
                    INVALID.clone_into(text);
                }
                at += 1;
            });
        });
        assert_only_bad_rows_are_left_out::<S>(&full::<S>(), &request, 0);
    }
}

/// Scenario: in a full request each text of the resource and the scope in turn is no UTF-8.
/// Guarantees: as above: all rows below are left out.
fn every_text_above_rows_is_checked<S: Telemetry>() {
    let empty = || {
        let mut request = full::<S>();
        request[0].scopes[0].items.clear();
        request
    };
    let mut count = 0;
    texts::<S>(&mut empty(), &mut |_| count += 1);
    assert!(count > 4);
    for bad in 0..count {
        let mut request = empty();
        let mut at = 0;
        texts::<S>(&mut request, &mut |text| {
            if at == bad {
                INVALID.clone_into(text);
            }
            at += 1;
        });
        request[0].scopes[0].items = S::full();
        let (good, rejected) = expected::<S>(&request, &tables(0), closed());
        assert!(good.is_empty() && rejected > 0);
        assert_only_bad_rows_are_left_out::<S>(&full::<S>(), &request, 0);
    }
}

fn assert_only_bad_rows_are_left_out<S: Telemetry>(
    good: &[Group<S::Item>],
    bad: &[Group<S::Item>],
    choice: u8,
) {
    let mut store = Store::new(tables(choice));
    let mut rows = Vec::new();
    for request in [good, bad, good] {
        let (more, rejected) = expected::<S>(request, &store.tables, closed());
        let body = with_invalid_texts(encode::<S>(request));
        assert_eq!(
            store.counts::<S>(&body, closed()),
            Ok((more.len(), rejected))
        );
        rows.extend(more);
    }
    let read = store.seal();
    Known::default().assert_holds::<S>(&read, &rows, NOW);
    assert!(!contains(&read.plain, MARK));
}

/// Puts bytes that are no UTF-8 where `INVALID` stands for them.
fn with_invalid_texts(mut body: Vec<u8>) -> Vec<u8> {
    for start in 0..body.len() {
        if body[start..].starts_with(INVALID.as_bytes()) {
            body[start + 4] = 0xff;
        }
    }
    body
}

/// Makes about half of the items bad, and some scopes and resources.
fn damage<S: Telemetry>(groups: &mut [Group<S::Item>], rng: &mut Rng) {
    for group in groups {
        for below in &mut group.scopes {
            for item in &mut below.items {
                if rng.bool() {
                    damage_item::<S>(item, rng);
                }
            }
            if rng.u8(..8) == 0 {
                scope_texts::<S>(below, &mut mark);
                damage_scope(below, rng);
            }
        }
        if rng.u8(..8) == 0 {
            group_texts::<S>(group, &mut mark);
            damage_resource(group, rng);
        }
    }
}

fn damage_item<S: Telemetry>(item: &mut S::Item, rng: &mut Rng) {
    let fault: Option<&Fault<S::Item>> = rng.choice(S::FAULTS);
    let mut texts = 0;
    S::texts(item, &mut |_| texts += 1);
    let invalid = rng.usize(..=texts);
    let is_fault = rng.bool();
    let damage = |item: &mut S::Item| match fault {
        Some(fault) if is_fault => fault(item),
        _ => {
            let mut at = 0;
            S::texts(item, &mut |text| {
                if at == invalid {
                    INVALID.clone_into(text);
                }
                at += 1;
            });
        }
    };
    let mut marked = item.clone();
    S::texts(&mut marked, &mut mark);
    damage(&mut marked);
    let alone = one_group(
        Resource::default(),
        InstrumentationScope::default(),
        vec![marked.clone()],
    );
    // Of a metric some points may stay good, and those keep their texts.
    if expected::<S>(&alone, &tables(0), closed()).0.is_empty() {
        *item = marked;
    } else {
        damage(item);
    }
}

fn damage_scope<I>(below: &mut ScopeGroup<I>, rng: &mut Rng) {
    let scope = below.scope.get_or_insert_default();
    match rng.u8(..4) {
        0 => INVALID.clone_into(&mut below.schema_url),
        1 => INVALID.clone_into(&mut scope.name),
        2 => INVALID.clone_into(&mut scope.version),
        _ => scope.attributes.push(too_deep()),
    }
}

fn damage_resource<I>(group: &mut Group<I>, rng: &mut Rng) {
    let resource = group.resource.get_or_insert_default();
    match rng.u8(..3) {
        0 => INVALID.clone_into(&mut group.schema_url),
        1 => resource.attributes.push(too_deep()),
        _ => {
            let mut attribute = too_deep();
            attribute.value = None;
            INVALID.clone_into(&mut attribute.key);
            resource.attributes.push(attribute);
        }
    }
}
