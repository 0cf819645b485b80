//! Sizes, port ranges, rights: values with a grammar of their own.

use postern_abi::Rights;
use toml::de::DeValue;

use super::diagnostic::Mistakes;
use super::table::Value;

/// A size in bytes: `"64 KiB"`, `"1 MiB"`, `"1 GiB"`, or a number of bytes.
pub fn size(value: Value<'_>, mistakes: &mut Mistakes) -> Option<u64> {
    if let Some(bytes) = value.unsigned() {
        return Some(bytes);
    }
    let DeValue::String(text) = value.inner else {
        value.expected("a size", mistakes);
        return None;
    };
    let digits =
        text.find(|char: char| !char.is_ascii_digit() && char != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let number: Option<u64> = number.replace('_', "").parse().ok();
    let bytes = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    if bytes.is_none() {
        mistakes
            .add(value.place, format!("bad number: `{text}` is no size"), "not a size")
            .help("a size is a number with KiB, MiB or GiB, such as \"64 KiB\"");
    }
    bytes
}

/// A time in nanoseconds: `"500 ms"`, `"2 s"`, up to an hour.
pub fn duration(value: Value<'_>, mistakes: &mut Mistakes) -> Option<u64> {
    const HOUR: u64 = 3_600_000_000_000;
    let DeValue::String(text) = value.inner else {
        value.expected("a time", mistakes);
        return None;
    };
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "s" => Some(1_000_000_000),
        "ms" => Some(1_000_000),
        "us" => Some(1_000),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    let time = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    let time = time.filter(|time| *time <= HOUR);
    if time.is_none() {
        mistakes
            .add(value.place, format!("bad time: `{text}`"), "not a time")
            .help("a time is a number with s, ms or us, up to an hour, such as \"500 ms\"");
    }
    time
}

/// A size as a person would write it.
pub fn shown(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let exact = units.into_iter().find(|(shift, _)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    exact.map_or_else(|| format!("{bytes} B"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}

/// A size as QEMU writes it: `256M`, `1G`, or a number of MiB.
pub fn qemu_size(text: &str) -> Option<u64> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "M" | "m" => 20,
        "K" | "k" => 10,
        "G" | "g" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// I/O ports: `"0x3f8-0x3ff"` or the number of one port. First and how many.
pub fn ports(value: Value<'_>, mistakes: &mut Mistakes) -> Option<(u16, u32)> {
    let range = match value.unsigned() {
        Some(port) => Some((Some(port), Some(port))),
        None => value.text(mistakes).map(|text| {
            let (first, last) = text.value.split_once('-').unwrap_or((&text.value, &text.value));
            (port(first), port(last))
        }),
    }?;
    let found = match range {
        (Some(first), Some(last)) if first <= last && last <= 0xffff => {
            Some((first as u16, (last - first + 1) as u32))
        }
        _ => None,
    };
    if found.is_none() {
        mistakes
            .add(value.place, "bad port range", "no range of ports from 0 to 0xffff")
            .help("a range is its first and last port, such as \"0x3f8-0x3ff\"");
    }
    found
}

fn port(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Rights of a gate: letters of `w`, `s` and `g`. A client can always call.
pub fn rights(value: Value<'_>, mistakes: &mut Mistakes) -> Option<Rights> {
    let text = value.text(mistakes)?.value;
    let mut rights = Rights::R;
    for letter in text.chars() {
        rights |= match letter {
            'w' => Rights::W,
            's' => Rights::S,
            'g' => Rights::GRANT,
            _ => {
                let message = format!("unknown right `{letter}`");
                mistakes.add(value.place, message, "not the rights of a gate").help(
                    "letters are `w` and `s`, which the server sees in the label, and `g`: the \
                     client may hand the gate on",
                );
                return None;
            }
        };
    }
    Some(rights)
}

/// The rights of a gate as the manifest writes them.
pub fn rights_shown(rights: Rights) -> String {
    let letters = [(Rights::W, 'w'), (Rights::S, 's'), (Rights::GRANT, 'g')];
    let held = letters.iter().filter(|(right, _)| rights.contains(*right));
    held.map(|(_, letter)| *letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for (bytes, text) in
            [(0, "0 B"), (1, "1 B"), (4096, "4 KiB"), (1 << 20, "1 MiB"), (3 << 29, "1536 MiB")]
        {
            assert_eq!(shown(bytes), text);
        }
    }

    #[test]
    fn sizes_of_qemu_are_understood() {
        let sizes = ["256M", "256", "1G", "512k", "M", "12Q", "-3M"].map(qemu_size);
        let (m, none) = (Some(256 << 20), None);
        assert_eq!(sizes, [m, m, Some(1 << 30), Some(512 << 10), none, none, none]);
    }

    #[test]
    fn rights_are_shown_as_they_are_written() {
        assert_eq!(rights_shown(Rights::R), "");
        assert_eq!(rights_shown(Rights::R | Rights::W | Rights::GRANT), "wg");
    }
}
