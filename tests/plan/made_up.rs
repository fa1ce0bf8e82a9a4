//! Scenarios that nobody wrote: each byte chooses a word of the notation.

const STATES: [&str; 20] = [
    "= a",
    "PRIMARY",
    "SECONDARY",
    "SECONDARY",
    "SECONDARY",
    "SECONDARY",
    "RECOVERING",
    "STARTUP2",
    "STARTUP",
    "ROLLBACK",
    "REMOVED",
    "BLANK",
    "BLANK",
    "BLANK",
    "STANDALONE",
    "ARBITER",
    "UNKNOWN",
    "timeout",
    "refused",
    "shutting-down",
];
const MORE: [&str; 31] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "data=A",
    "data=B",
    "data=X",
    "data=none",
    "config=old",
    "config=none",
    "config=other",
    "wire=9",
    "set=other",
    "sees=a",
    "sees=none",
    "sees=z",
    "sees-up=a,b,c,d",
    "sees-down=b,c",
    "unasked=a,b",
    "applied=9",
    "applied=9 held=12",
    "applied=9 written=12",
    "committed=12",
    "user-data=2",
    "user-data=unknown",
    "lock=other:a",
    "lock=me:b/old",
    "unlisted=40s",
    "",
];
const TIMES: [&str; 5] = ["", "", "for=40s", "for=11m", "silent=40s unhealthy=40s"];
const ATTRIBUTES: [&str; 12] = [
    "",
    "",
    "",
    "",
    ",priority=2",
    ",votes=0,priority=0",
    ",votes=0,priority=0,spare",
    ",votes=0,priority=0,saved-vote=1/1",
    ",new",
    ",arbiter",
    ",hidden,priority=0",
    ",tag=dc",
];
const TAGS: [&str; 6] = ["", "", "", "/-", "/B", "/X"];
const REST: [&str; 15] = [
    "",
    "",
    "",
    "dns timeout",
    "unsynced a b",
    "blank-for 0ms",
    "lock-age other=20s",
    "refused \"remove member 3\" retry=9ms",
    "policy expect=1",
    "request",
    "request loss=other",
    "request loss=rs",
    "request loss=rs",
    "request loss=rs",
    "request loss=rs",
];

/// Also the ends of what a config may hold.
const CONFIGS: [&str; 6] = [
    "config v7 term=4",
    "config v7 term=4",
    "config v7 term=9223372036854775807",
    "config v7 term=-9223372036854775808",
    "config v2147473640 term=4",
    "config v2147483640 term=4",
];

/// The text of a scenario. Bytes that are missing are zero.
pub fn scenario(bytes: &[u8]) -> String {
    let mut choices = Choices(bytes.iter());
    let count = choices.below(7);
    let rest = [choices.of(&REST), choices.of(&REST)];
    let config = choices.of(&CONFIGS);
    let (mut members, mut nodes) = (String::new(), String::new());
    for (nth, letter) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        let (tag, attribute) = (choices.of(&TAGS), choices.of(&ATTRIBUTES));
        if nth < count {
            members += &format!(" {letter}{tag}{attribute}");
        }
        // The first node cannot be an alias; the others can be further addresses of the first one.
        let state = choices.of(if nth == 0 { &STATES[1..] } else { &STATES });
        let (one, two, time) = (choices.of(&MORE), choices.of(&MORE), choices.of(&TIMES));
        // A node that answers has no time of silence.
        let time = if state.chars().all(char::is_lowercase) || state.contains('-') { time } else { "" };
        nodes += &format!("{letter} {state} {one} {two} {time}\n");
    }
    let configs = match members.as_str() {
        "" => String::new(),
        members => format!("{config}{members}\nconfig old: v5 term=3 a b c\nconfig other: v9 rid=R2 d e"),
    };
    format!("# made up\n{configs}\n{nodes}{}\n{}\n", rest[0], rest[1])
}

struct Choices<'b>(std::slice::Iter<'b, u8>);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % end)
    }

    fn of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }
}
