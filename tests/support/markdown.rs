//! The project's own pages, read as far as tests need: fenced blocks, headings, links and what
//! stands in code. It renders nothing and knows no more of Markdown than these pages use.

use std::collections::BTreeSet;
use std::path::Path;

/// A page of this repository.
pub struct Page {
    /// Its path in the repository.
    pub path: String,
    pub text: String,
}

/// A fenced block.
pub struct Block {
    /// The words behind the fence: the language, and what kind of it.
    pub info: String,
    pub text: String,
    /// The line of its fence, counted from one.
    pub line: usize,
}

/// Every page that people read: at the top, in `docs/` and in `deploy/`.
pub fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for (dir, deep) in [("", false), ("docs", true), ("deploy", true)] {
        collect(root, &root.join(dir), deep, &mut pages);
    }
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

/// One page.
pub fn page(path: &str) -> Page {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Page {
        path: path.to_owned(),
        text: std::fs::read_to_string(root.join(path)).unwrap(),
    }
}

impl Page {
    /// The fenced blocks, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(info)) => {
                    let block = Block {
                        info: info.trim().to_owned(),
                        text: String::new(),
                        line: number + 1,
                    };
                    open = Some((indent, block));
                }
                (Some(_), Some(_)) => blocks.extend(open.take().map(|it| it.1)),
                (Some((indent, block)), None) => {
                    let strip = (*indent).min(line.len() - line.trim_start().len());
                    block.text.push_str(&line[strip..]);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.path);
        blocks
    }

    /// The text outside of fenced blocks.
    pub fn prose(&self) -> String {
        let mut fenced = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            let fence = line.trim_start().starts_with("```");
            if !fence && !fenced {
                prose.push_str(line);
            }
            prose.push('\n');
            fenced ^= fence;
        }
        prose
    }

    /// The headings' text, without their marks.
    pub fn headings(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| line.trim_start_matches('#').trim().replace('`', ""))
            .collect()
    }

    /// The anchors that links may name, as GitHub makes them of headings.
    pub fn anchors(&self) -> BTreeSet<String> {
        let anchor = |heading: &String| {
            let lower = heading.to_lowercase();
            let kept = lower.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            kept.collect::<String>()
        };
        self.headings().iter().map(anchor).collect()
    }

    /// The targets of links.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let targets = prose.split("](").skip(1);
        targets
            .filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned()))
            .collect()
    }

    /// What stands between backticks in the prose.
    pub fn spans(&self) -> Vec<String> {
        let prose = self.prose();
        let lines = prose.lines();
        lines
            .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned))
            .collect()
    }

    /// The commands of `sh` blocks, one a line, joined where a backslash continues them.
    pub fn commands(&self) -> Vec<String> {
        let blocks = self.blocks().into_iter().filter(|it| it.info == "sh");
        let joined = blocks.map(|it| it.text.replace("\\\n", " "));
        let lines: Vec<String> = joined
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        lines
            .into_iter()
            .map(|line| {
                line.split_once(" # ")
                    .map_or(line.clone(), |it| it.0.to_owned())
            })
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }
}

fn collect(root: &Path, dir: &Path, deep: bool, pages: &mut Vec<Page>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && deep {
            collect(root, &path, deep, pages);
        } else if path.extension().is_some_and(|it| it == "md") {
            let path = path.strip_prefix(root).unwrap().to_str().unwrap();
            pages.push(page(path));
        }
    }
}
