//! What is new to a reader. A longer time is not.

/// A text without its times: `8 s`, `8s`, `3m12s`, `1.5s`. Other numbers stay, because they tell members apart.
pub(super) fn without_times(text: &str) -> String {
    let is_unit = |word: &str| ["s", "ms", "min", "h"].contains(&word.trim_end_matches([',', ';', ')']));
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let of_a_time = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'm' | 's' | 'h' | 'd' | ',' | ';' | ')');
    let words: Vec<&str> = text.split(' ').collect();
    let is_time = |at: usize, word: &str| {
        let with_unit = word.contains(['m', 's', 'h', 'd']) && word.chars().all(of_a_time);
        is_number(word) && (with_unit || words.get(at + 1).is_some_and(|next| is_unit(next)))
    };
    let kept = words.iter().enumerate().map(|(at, word)| if is_time(at, word) { "#" } else { word });
    kept.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_names_and_counts() {
        let pairs = [
            ("gone for 8 s; it is removed after 30 s", "gone for 9 s; it is removed after 30 s", true),
            ("gone for 95s", "gone for 96s", true),
            ("removed in 22 s)", "removed in 21 s)", true),
            ("next try in 80 ms", "next try in 40 ms", true),
            ("1 of 3 expected tasks answer", "2 of 3 expected tasks answer", false),
            ("mongo-node1:27017 is away", "mongo-node2:27017 is away", false),
            ("10.0.0.1:27017 is away", "10.0.0.2:27017 is away", false),
            ("config v5", "config v6", false),
        ];
        for (one, other, same) in pairs {
            assert_eq!(without_times(one) == without_times(other), same, "{one} / {other}");
        }
    }
}
