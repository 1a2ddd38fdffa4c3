//! The resources of instances: 10 to 12 attributes, as an SDK and a Kubernetes detector give them.

use fastrand::Rng;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::names::{LANGUAGES, NAMESPACES, SERVICES, ZONES};
use super::random::uuid;
use super::topology::Service;
use super::values::text;

/// One running process of a service.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) service: usize,
    pub(super) resource: Resource,
    /// Where it answers, for `network.peer.address` of those that call it.
    pub(super) address: String,
}

pub(super) fn instance(random: &mut Rng, index: usize, service: &Service) -> Instance {
    let name = SERVICES[index];
    let (language, sdk) = LANGUAGES[service.language];
    let namespace = NAMESPACES[index * NAMESPACES.len() / SERVICES.len()];
    let mut letters = |count: usize| -> String {
        let alphabet = b"bcdfghjklmnpqrstvwxz2456789";
        let draw = |_| char::from(alphabet[random.usize(..alphabet.len())]);
        (0..count).map(draw).collect()
    };
    let pod = format!("{name}-{}-{}", letters(10), letters(5));
    let node = random.u8(2..40);
    let mut attributes = vec![
        text("service.name", name),
        text("service.namespace", namespace),
        text("service.version", service.version.as_str()),
        text("service.instance.id", uuid(random)),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.language", language),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", sdk),
        text("k8s.namespace.name", namespace),
        text("k8s.pod.name", pod),
    ];
    // Not all teams configure the same detectors.
    if !index.is_multiple_of(3) {
        attributes.push(text(
            "k8s.node.name",
            format!("ip-10-0-{node}-17.eu-west-1.compute.internal"),
        ));
    }
    if index.is_multiple_of(2) {
        attributes.push(text(
            "cloud.availability_zone",
            ZONES[usize::from(node) % ZONES.len()],
        ));
    }
    Instance {
        service: index,
        resource: Resource {
            attributes,
            ..Resource::default()
        },
        address: format!("10.1.{node}.{}", random.u8(2..250)),
    }
}
