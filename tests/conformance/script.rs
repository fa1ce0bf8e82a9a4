//! The text form of sequences: one line for each step, and its results below it, indented.

/// One sequence. It starts with blank mongods.
#[derive(Clone, Debug)]
pub struct Section {
    /// The comments above the sequence.
    pub remarks: Vec<String>,
    pub title: String,
    /// The number of blank mongods: A, B, C … at the addresses a, b, c …
    pub nodes: usize,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub text: String,
    /// The lines of its result.
    pub gives: Vec<String>,
}

impl Step {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), gives: Vec::new() }
    }
}

pub fn parse(text: &str) -> Vec<Section> {
    let (mut sections, mut remarks) = (Vec::<Section>::new(), Vec::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with('#') {
            remarks.push(line.to_owned());
        } else if let Some(title) = line.strip_prefix("== ") {
            let (title, nodes) = title.rsplit_once(", ").expect("a title ends in `, N nodes`");
            let nodes = nodes.trim_end_matches(" nodes").parse().expect("a number of nodes");
            let remarks = std::mem::take(&mut remarks);
            sections.push(Section { remarks, title: title.to_owned(), nodes, steps: Vec::new() });
        } else {
            let section = sections.last_mut().expect("a title comes first");
            match line.strip_prefix("  ") {
                Some(given) => section.steps.last_mut().expect("a step comes first").gives.push(given.to_owned()),
                None => section.steps.push(Step::new(line)),
            }
        }
    }
    sections
}

pub fn print(sections: &[Section]) -> String {
    let mut text = String::new();
    for (number, section) in sections.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        for remark in &section.remarks {
            text += &format!("{remark}\n");
        }
        text += &format!("== {}, {} nodes\n", section.title, section.nodes);
        for step in &section.steps {
            text += &format!("{}\n", step.text);
            for line in &step.gives {
                text += &format!("  {line}\n");
            }
        }
    }
    text
}
