//! What OTLP's messages are called in JSON and numbered in protobuf: tables of all fields that are stored,
//! from opentelemetry-proto 1.x. A field that is not here is unknown, and so ignored.

/// A message's fields.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// Whether values nest through this message.
    pub(super) nests: bool,
}

/// A field's name in JSON, its number and its type.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// A field's type; those of integers are protobuf's own names.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Message(&'static Message),
    String,
    /// Bytes that JSON has as hex.
    Id,
    /// Bytes that JSON has as base64.
    Bytes,
    Bool,
    Double,
    /// The names of its values, from 0 on.
    Enum(&'static [&'static str]),
    Uint32,
    Sint32,
    Fixed32,
    Int64,
    Uint64,
    Fixed64,
    Sfixed64,
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        number,
        kind,
        repeated: false,
    }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        number,
        kind,
        repeated: true,
    }
}

const fn message(fields: &'static [Field]) -> Message {
    Message {
        fields,
        nests: false,
    }
}

pub(super) static TRACES: Message = message(&[many(
    1,
    "resourceSpans",
    Kind::Message(&message(&[
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(
            2,
            "scopeSpans",
            Kind::Message(&message(&[
                one(1, "scope", Kind::Message(&SCOPE)),
                many(2, "spans", Kind::Message(&SPAN)),
                one(3, "schemaUrl", Kind::String),
            ])),
        ),
        one(3, "schemaUrl", Kind::String),
    ])),
)]);

pub(super) static LOGS: Message = message(&[many(
    1,
    "resourceLogs",
    Kind::Message(&message(&[
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(
            2,
            "scopeLogs",
            Kind::Message(&message(&[
                one(1, "scope", Kind::Message(&SCOPE)),
                many(2, "logRecords", Kind::Message(&LOG_RECORD)),
                one(3, "schemaUrl", Kind::String),
            ])),
        ),
        one(3, "schemaUrl", Kind::String),
    ])),
)]);

pub(super) static METRICS: Message = message(&[many(
    1,
    "resourceMetrics",
    Kind::Message(&message(&[
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(
            2,
            "scopeMetrics",
            Kind::Message(&message(&[
                one(1, "scope", Kind::Message(&SCOPE)),
                many(2, "metrics", Kind::Message(&METRIC)),
                one(3, "schemaUrl", Kind::String),
            ])),
        ),
        one(3, "schemaUrl", Kind::String),
    ])),
)]);

static RESOURCE: Message = message(&[
    many(1, "attributes", Kind::Message(&KEY_VALUE)),
    one(2, "droppedAttributesCount", Kind::Uint32),
]);

static SCOPE: Message = message(&[
    one(1, "name", Kind::String),
    one(2, "version", Kind::String),
    many(3, "attributes", Kind::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Kind::Uint32),
]);

static KEY_VALUE: Message = message(&[
    one(1, "key", Kind::String),
    one(2, "value", Kind::Message(&ANY_VALUE)),
]);

static ANY_VALUE: Message = message(&[
    one(1, "stringValue", Kind::String),
    one(2, "boolValue", Kind::Bool),
    one(3, "intValue", Kind::Int64),
    one(4, "doubleValue", Kind::Double),
    one(5, "arrayValue", Kind::Message(&ARRAY_VALUE)),
    one(6, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
    one(7, "bytesValue", Kind::Bytes),
]);

static ARRAY_VALUE: Message = Message {
    fields: &[many(1, "values", Kind::Message(&ANY_VALUE))],
    nests: true,
};

static KEY_VALUE_LIST: Message = Message {
    fields: &[many(1, "values", Kind::Message(&KEY_VALUE))],
    nests: true,
};

static SPAN: Message = message(&[
    one(1, "traceId", Kind::Id),
    one(2, "spanId", Kind::Id),
    one(3, "traceState", Kind::String),
    one(4, "parentSpanId", Kind::Id),
    one(5, "name", Kind::String),
    one(6, "kind", Kind::Enum(SPAN_KINDS)),
    one(7, "startTimeUnixNano", Kind::Fixed64),
    one(8, "endTimeUnixNano", Kind::Fixed64),
    many(9, "attributes", Kind::Message(&KEY_VALUE)),
    one(10, "droppedAttributesCount", Kind::Uint32),
    many(
        11,
        "events",
        Kind::Message(&message(&[
            one(1, "timeUnixNano", Kind::Fixed64),
            one(2, "name", Kind::String),
            many(3, "attributes", Kind::Message(&KEY_VALUE)),
            one(4, "droppedAttributesCount", Kind::Uint32),
        ])),
    ),
    one(12, "droppedEventsCount", Kind::Uint32),
    many(
        13,
        "links",
        Kind::Message(&message(&[
            one(1, "traceId", Kind::Id),
            one(2, "spanId", Kind::Id),
            one(3, "traceState", Kind::String),
            many(4, "attributes", Kind::Message(&KEY_VALUE)),
            one(5, "droppedAttributesCount", Kind::Uint32),
            one(6, "flags", Kind::Fixed32),
        ])),
    ),
    one(14, "droppedLinksCount", Kind::Uint32),
    one(
        15,
        "status",
        Kind::Message(&message(&[
            one(2, "message", Kind::String),
            one(3, "code", Kind::Enum(STATUS_CODES)),
        ])),
    ),
    one(16, "flags", Kind::Fixed32),
]);

static LOG_RECORD: Message = message(&[
    one(1, "timeUnixNano", Kind::Fixed64),
    one(2, "severityNumber", Kind::Enum(SEVERITIES)),
    one(3, "severityText", Kind::String),
    one(5, "body", Kind::Message(&ANY_VALUE)),
    many(6, "attributes", Kind::Message(&KEY_VALUE)),
    one(7, "droppedAttributesCount", Kind::Uint32),
    one(8, "flags", Kind::Fixed32),
    one(9, "traceId", Kind::Id),
    one(10, "spanId", Kind::Id),
    one(11, "observedTimeUnixNano", Kind::Fixed64),
    one(12, "eventName", Kind::String),
]);

const TEMPORALITY: Field = one(2, "aggregationTemporality", Kind::Enum(TEMPORALITIES));

static METRIC: Message = message(&[
    one(1, "name", Kind::String),
    one(2, "description", Kind::String),
    one(3, "unit", Kind::String),
    one(
        5,
        "gauge",
        Kind::Message(&message(&[many(1, "dataPoints", NUMBER_POINT)])),
    ),
    one(
        7,
        "sum",
        Kind::Message(&message(&[
            many(1, "dataPoints", NUMBER_POINT),
            TEMPORALITY,
            one(3, "isMonotonic", Kind::Bool),
        ])),
    ),
    one(
        9,
        "histogram",
        Kind::Message(&message(&[
            many(1, "dataPoints", Kind::Message(&HISTOGRAM_POINT)),
            TEMPORALITY,
        ])),
    ),
    one(
        10,
        "exponentialHistogram",
        Kind::Message(&message(&[
            many(1, "dataPoints", Kind::Message(&EXPONENTIAL_POINT)),
            TEMPORALITY,
        ])),
    ),
    one(
        11,
        "summary",
        Kind::Message(&message(&[many(
            1,
            "dataPoints",
            Kind::Message(&SUMMARY_POINT),
        )])),
    ),
    many(12, "metadata", Kind::Message(&KEY_VALUE)),
]);

const NUMBER_POINT: Kind = Kind::Message(&NUMBER_POINT_FIELDS);

static NUMBER_POINT_FIELDS: Message = message(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "asDouble", Kind::Double),
    many(5, "exemplars", Kind::Message(&EXEMPLAR)),
    one(6, "asInt", Kind::Sfixed64),
    many(7, "attributes", Kind::Message(&KEY_VALUE)),
    one(8, "flags", Kind::Uint32),
]);

static HISTOGRAM_POINT: Message = message(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    many(6, "bucketCounts", Kind::Fixed64),
    many(7, "explicitBounds", Kind::Double),
    many(8, "exemplars", Kind::Message(&EXEMPLAR)),
    many(9, "attributes", Kind::Message(&KEY_VALUE)),
    one(10, "flags", Kind::Uint32),
    one(11, "min", Kind::Double),
    one(12, "max", Kind::Double),
]);

static EXPONENTIAL_POINT: Message = message(&[
    many(1, "attributes", Kind::Message(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    one(6, "scale", Kind::Sint32),
    one(7, "zeroCount", Kind::Fixed64),
    one(8, "positive", Kind::Message(&BUCKETS)),
    one(9, "negative", Kind::Message(&BUCKETS)),
    one(10, "flags", Kind::Uint32),
    many(11, "exemplars", Kind::Message(&EXEMPLAR)),
    one(12, "min", Kind::Double),
    one(13, "max", Kind::Double),
    one(14, "zeroThreshold", Kind::Double),
]);

static BUCKETS: Message = message(&[
    one(1, "offset", Kind::Sint32),
    many(2, "bucketCounts", Kind::Uint64),
]);

static SUMMARY_POINT: Message = message(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    many(
        6,
        "quantileValues",
        Kind::Message(&message(&[
            one(1, "quantile", Kind::Double),
            one(2, "value", Kind::Double),
        ])),
    ),
    many(7, "attributes", Kind::Message(&KEY_VALUE)),
    one(8, "flags", Kind::Uint32),
]);

static EXEMPLAR: Message = message(&[
    one(2, "timeUnixNano", Kind::Fixed64),
    one(3, "asDouble", Kind::Double),
    one(4, "spanId", Kind::Id),
    one(5, "traceId", Kind::Id),
    one(6, "asInt", Kind::Sfixed64),
    many(7, "filteredAttributes", Kind::Message(&KEY_VALUE)),
]);

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

const TEMPORALITIES: &[&str] = &[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

const SEVERITIES: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];
