//! The live screen: draws sheets, and does what keys say.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::{DefaultTerminal, Frame};

use super::rates::Rates;
use super::sheet::{List, Sheet, Sort};
use super::source::{Error, Source};
use crate::stats::live::Live;

/// Percentiles are of so many looks: of one interval there may be too few requests.
const LOOKS: usize = 10;
/// Requests a second that are remembered, for the small chart.
const HISTORY: usize = 240;
const KEYS: &str = "q quit  s sort  r reverse  1 2 3 Tab lists  arrows PgUp PgDn scroll  Space hold";

struct Screen {
    sort: Sort,
    reversed: bool,
    list: List,
    paused: bool,
    workers_from: usize,
    list_from: usize,
    looks: VecDeque<Live>,
    history: VecDeque<f64>,
    trouble: Option<String>,
    colours: bool,
    unicode: bool,
}

/// Shows the server until the user has seen enough.
pub fn run(source: &Source<'_>, first: Live, interval: Duration, sort: Sort) -> Result<(), Error> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable).into_iter().find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    let mut screen = Screen {
        sort,
        reversed: false,
        list: List::InFlight,
        paused: false,
        workers_from: 0,
        list_from: 0,
        looks: VecDeque::from([first]),
        history: VecDeque::new(),
        trouble: None,
        colours: variable("NO_COLOR").is_empty(),
        unicode: locale.contains("utf-8") || locale.contains("utf8"),
    };
    let mut terminal = ratatui::try_init()?;
    let result = screen.watch(&mut terminal, source, interval);
    ratatui::restore();
    result
}

impl Screen {
    fn watch(
        &mut self,
        terminal: &mut DefaultTerminal,
        source: &Source<'_>,
        interval: Duration,
    ) -> Result<(), Error> {
        let mut due = Instant::now() + interval;
        loop {
            terminal.draw(|frame| self.draw(frame))?;
            if event::poll(due.saturating_duration_since(Instant::now()))? {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        let control = key.modifiers.contains(KeyModifiers::CONTROL);
                        if control && key.code == KeyCode::Char('c') || !self.pressed(key.code) {
                            return Ok(());
                        }
                    }
                    // Another size is drawn in the next round.
                    _ => {}
                }
                continue;
            }
            due = Instant::now() + interval;
            if !self.paused {
                self.look(source);
            }
        }
    }

    fn look(&mut self, source: &Source<'_>) {
        match source.look() {
            Ok(live) => {
                self.trouble = None;
                // Another server has come in the place of this one, or it lost its memory.
                if self
                    .looks
                    .back()
                    .is_some_and(|before| before.pid != live.pid || before.requests > live.requests)
                {
                    self.looks.clear();
                }
                if let Some(before) = self.looks.back() {
                    self.history.push_back(Rates::between(before, &live).requests);
                }
                self.looks.push_back(live);
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
        while self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// Whether to go on.
    fn pressed(&mut self, key: KeyCode) -> bool {
        let list = List::ALL.iter().position(|list| *list == self.list).unwrap_or(0);
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char(digit @ '1'..='3') => self.show(digit as usize - '1' as usize),
            KeyCode::Tab => self.show(list + 1),
            KeyCode::BackTab => self.show(list + List::ALL.len() - 1),
            KeyCode::Down => self.workers_from += 1,
            KeyCode::Up => self.workers_from = self.workers_from.saturating_sub(1),
            KeyCode::PageDown => self.list_from += 5,
            KeyCode::PageUp => self.list_from = self.list_from.saturating_sub(5),
            _ => {}
        }
        true
    }

    fn show(&mut self, list: usize) {
        self.list = List::ALL[list % List::ALL.len()];
        self.list_from = 0;
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let lines = self.lines(usize::from(area.width), usize::from(area.height));
        frame.render_widget(Text::from(lines), area);
        if area.height > 0 {
            let foot = Rect { y: area.height - 1, height: 1, ..area };
            frame.render_widget(Line::styled(KEYS, self.style(Color::Reset, Modifier::DIM)), foot);
        }
    }

    /// All but the last line of the screen.
    fn lines(&mut self, width: usize, height: usize) -> Vec<Line<'static>> {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else { return Vec::new() };
        let before = self.looks.iter().rev().nth(1).unwrap_or(last);
        let rates = Rates::between(before, last);
        let sheet = Sheet::new(first, last, &rates, self.sort);
        let (names, strong) =
            (self.style(Color::Cyan, Modifier::BOLD), self.style(Color::Reset, Modifier::BOLD));
        let bad = self.style(Color::Red, Modifier::BOLD);
        let mut lines = Vec::new();
        for (n, text) in sheet.head().into_iter().enumerate() {
            let failing = n == 1 && rates.answers[5] + rates.exceptions > 0.0;
            let style = if failing {
                bad
            } else if n == 0 {
                strong
            } else {
                Style::default()
            };
            lines.push(Line::styled(text, style));
        }
        lines.push(match (&self.trouble, self.paused) {
            (Some(trouble), _) => Line::styled(format!("no answer: {trouble}"), bad),
            (None, true) => Line::styled("paused", strong),
            (None, false) => Line::raw(self.chart(width)),
        });
        lines.push(Line::styled(format!("{}  (by {})", Sheet::worker_names(), self.sort.name()), names));
        let mut workers = sheet.workers();
        if self.reversed {
            workers.reverse();
        }
        let room = height.saturating_sub(lines.len() + 3);
        let listed = sheet.list(self.list, width);
        // Workers have half of the room, and what the requests leave.
        let for_workers = workers.len().min((room / 2).max(room.saturating_sub(listed.len())));
        self.workers_from = self.workers_from.min(workers.len() - for_workers);
        lines.extend(workers.into_iter().skip(self.workers_from).take(for_workers).map(Line::raw));
        let titles = List::ALL.map(|list| {
            let marks = if list == self.list { ["[", "]"] } else { [" ", " "] };
            format!("{}{}: {}{}", marks[0], list.name(), sheet.count(list), marks[1])
        });
        lines.push(Line::styled(titles.join(" "), strong));
        lines.push(Line::styled(Sheet::list_names(self.list, width), names));
        let for_list = room - for_workers;
        self.list_from = self.list_from.min(listed.len().saturating_sub(for_list));
        lines.extend(listed.into_iter().skip(self.list_from).take(for_list).map(Line::raw));
        lines.truncate(height.saturating_sub(1));
        lines
    }

    /// Requests a second, the last on the right, as high as the highest.
    fn chart(&self, width: usize) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const PLAIN: [char; 8] = ['_', '_', '.', '-', '-', '=', '#', '#'];
        let marks = if self.unicode { BLOCKS } else { PLAIN };
        let shown = self.history.len().min(width.saturating_sub(10));
        let rates = self.history.iter().skip(self.history.len() - shown);
        let most = rates.clone().copied().fold(1.0, f64::max);
        let mark = |rate: &f64| marks[((rate / most * 7.0).round() as usize).min(7)];
        format!("          {}", rates.map(mark).collect::<String>())
    }

    fn style(&self, colour: Color, modifier: Modifier) -> Style {
        let style = Style::default().add_modifier(modifier);
        if self.colours && colour != Color::Reset { style.fg(colour) } else { style }
    }
}
