//! The text that an attribute's value becomes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use spanmill_schema::ValueType;

use super::Broken;
use super::common::valid;
use crate::decode::VALUE_DEPTH_MAX;

/// Type and text of a value.
pub(super) fn value_text(value: Option<&AnyValue>) -> Result<(ValueType, String), Broken> {
    Ok(match value.and_then(|value| value.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => (ValueType::Empty, String::new()),
        Some(Any::StringValue(value)) => (ValueType::String, valid(value)?.to_owned()),
        Some(Any::BoolValue(value)) => (ValueType::Bool, value.to_string()),
        Some(Any::IntValue(value)) => (ValueType::Int, value.to_string()),
        Some(Any::DoubleValue(value)) => (ValueType::Double, double(*value, false)),
        Some(Any::BytesValue(value)) => (ValueType::Bytes, STANDARD.encode(value)),
        Some(Any::ArrayValue(_)) => (ValueType::Array, json(value, 0)?),
        Some(Any::KvlistValue(_)) => (ValueType::Map, json(value, 0)?),
    })
}

fn json(value: Option<&AnyValue>, depth: usize) -> Result<String, Broken> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let (open, items, close): (_, Vec<String>, _) = match value.and_then(|v| v.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => return Ok("null".to_owned()),
        Some(Any::StringValue(value)) => return Ok(quoted(valid(value)?)),
        Some(Any::BoolValue(value)) => return Ok(value.to_string()),
        Some(Any::IntValue(value)) => return Ok(value.to_string()),
        Some(Any::DoubleValue(value)) if value.is_finite() => return Ok(double(*value, true)),
        Some(Any::DoubleValue(value)) => return Ok(quoted(&double(*value, false))),
        Some(Any::BytesValue(value)) => return Ok(quoted(&STANDARD.encode(value))),
        Some(_) if depth == VALUE_DEPTH_MAX => return Err("depth"),
        Some(Any::ArrayValue(array)) => {
            let items = array.values.iter().map(|v| json(Some(v), depth + 1));
            ('[', items.collect::<Result<_, _>>()?, ']')
        }
        Some(Any::KvlistValue(map)) => {
            let item = |entry: &KeyValue| -> Result<_, Broken> {
                let value = json(entry.value.as_ref(), depth + 1)?;
                Ok(format!("{}:{value}", quoted(valid(&entry.key)?)))
            };
            let items = map.values.iter().map(item);
            ('{', items.collect::<Result<_, _>>()?, '}')
        }
    };
    Ok(format!("{open}{}{close}", items.join(",")))
}

/// A double from its shortest digits: as in JavaScript (but with the sign of zero), or in JSON with a
/// fraction so that it does not look like an integer.
fn double(value: f64, json: bool) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{}Inf", if sign.is_empty() { "+" } else { sign });
    }
    let scientific = shortest(value.abs(), json);
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let plain = if json { -5..=15 } else { -6..=20 };
    if !plain.contains(&exponent) {
        let plus = if exponent > 0 && !json { "+" } else { "" };
        return format!("{sign}{mantissa}e{plus}{exponent}");
    }
    let digits = mantissa.replace('.', "");
    let whole_length = exponent + 1;
    let (whole, fraction) = if whole_length <= 0 {
        let zeros = "0".repeat(-whole_length as usize);
        ("0".to_owned(), format!("{zeros}{digits}"))
    } else {
        let padded = format!("{digits:0<width$}", width = whole_length as usize);
        let (whole, fraction) = padded.split_at(whole_length as usize);
        (whole.to_owned(), fraction.to_owned())
    };
    match (fraction.is_empty(), json) {
        (true, false) => format!("{sign}{whole}"),
        (true, true) => format!("{sign}{whole}.0"),
        (false, _) => format!("{sign}{whole}.{fraction}"),
    }
}

/// The shortest digits that read back as `value`. Two may be equally near: the walk takes the even one
/// in JSON and from 1e-5 up to 1e16, where it uses ryu, and the greater one elsewhere.
fn shortest(value: f64, json: bool) -> String {
    let text = format!("{value:e}");
    if json || (1e-5..1e16).contains(&value) {
        let digits = text.split('e').next().unwrap().replace('.', "").len();
        let even = format!("{value:.*e}", digits - 1);
        if even.parse() == Ok(value) {
            return even;
        }
    }
    text
}
