//! Lines out of the pieces in which output comes: forwards from a place on, and backwards from the end.
//!
//! A line has the place at which it ends, or was written to last. So what is known of the newest lines does not change by what is older, and both
//! directions give the same lines.

/// A line of one stream, without its line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line<S> {
    pub(crate) source: S,
    pub(crate) text: String,
    /// Whether its end was seen. If not, the stream may go on with it.
    pub(crate) ended: bool,
    /// Whether its beginning is missing.
    pub(crate) cut: bool,
}

/// The streams whose lines go through several pieces. A piece of any other source is a line by itself.
pub(crate) const STREAMS: usize = 2;

/// Makes lines of pieces that come oldest first.
#[derive(Debug)]
pub(crate) struct Forward<S> {
    /// Lines that have not ended, and the pieces that wrote to them last.
    open: [Option<(u64, Line<S>)>; STREAMS],
    /// Whether the beginning of the stream's next line is missing.
    cut: [bool; STREAMS],
    lines: Vec<(u64, Line<S>)>,
    pieces: u64,
}

impl<S: Clone> Forward<S> {
    pub(crate) fn new() -> Self {
        Self { open: Default::default(), cut: Default::default(), lines: Vec::new(), pieces: 0 }
    }

    /// Takes the next piece. `stream` is the place of its stream, if lines of it go through several pieces.
    pub(crate) fn push(&mut self, source: &S, stream: Option<usize>, text: &str) {
        self.pieces += 1;
        let streams = stream.and_then(|stream| self.open.get_mut(stream).zip(self.cut.get_mut(stream)));
        let Some((open, cut)) = streams else {
            let line = Line { source: source.clone(), text: text.to_owned(), ended: true, cut: false };
            self.lines.push((self.pieces, line));
            return;
        };
        let mut segments = text.split('\n').peekable();
        while let Some(segment) = segments.next() {
            let ends = segments.peek().is_some();
            if segment.is_empty() && !ends {
                break;
            }
            let new =
                || (0, Line { source: source.clone(), text: String::new(), ended: false, cut: std::mem::take(cut) });
            let (piece, line) = open.get_or_insert_with(new);
            *piece = self.pieces;
            line.text.push_str(segment);
            if ends {
                line.ended = true;
                self.lines.extend(open.take());
            }
        }
    }

    /// Some pieces are missing here.
    pub(crate) fn gap(&mut self) {
        self.lines.extend(self.open.iter_mut().filter_map(Option::take));
        self.cut = [true; STREAMS];
    }

    /// The lines.
    pub(crate) fn finish(mut self) -> Vec<Line<S>> {
        self.lines.extend(self.open.into_iter().flatten());
        self.lines.sort_by_key(|(piece, _)| *piece);
        self.lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// What is known of a stream while its pieces come newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing: what comes is the end of a line that has not ended.
    Nothing,
    /// This line, by its number, is not whole yet.
    Open(usize),
    /// Lines beyond what is wanted.
    Enough,
}

/// Makes the last lines of pieces that come newest first.
#[derive(Debug)]
pub(crate) struct Backward<S> {
    /// Newest first; their texts are in pieces, the last one first.
    lines: Vec<(Line<S>, Vec<String>)>,
    seen: [Seen; STREAMS],
    lines_max: usize,
    /// Bytes that there is room for.
    room: usize,
    /// Bytes that a line takes beside its text.
    beside: fn(&S) -> usize,
    /// Whether something did not fit.
    full: bool,
    /// Whether older lines were seen and not taken.
    older: bool,
}

impl<S: Clone> Backward<S> {
    /// Wants so many lines, and at most so many bytes of text and of what is `beside` it.
    pub(crate) fn new(lines_max: usize, bytes_max: usize, beside: fn(&S) -> usize) -> Self {
        Self {
            lines: Vec::new(),
            seen: [Seen::Nothing; STREAMS],
            lines_max,
            room: bytes_max,
            beside,
            full: false,
            older: false,
        }
    }

    /// Whether older pieces would change nothing any more, unless they tell whether there are older lines.
    pub(crate) fn has_enough(&self) -> bool {
        let open = self.seen.iter().any(|seen| matches!(seen, Seen::Open(_)));
        self.full || (self.lines.len() >= self.lines_max && !open)
    }

    /// Takes the piece before the last one that was taken. `stream` as in [`Forward::push`].
    pub(crate) fn push(&mut self, source: &S, stream: Option<usize>, text: &str) {
        if self.full {
            self.older = true;
            return;
        }
        let Some(stream) = stream.filter(|stream| *stream < STREAMS) else {
            if let Some(line) = self.begin(source, true) {
                self.extend(line, text);
            }
            return;
        };
        for (number, segment) in text.rsplit('\n').enumerate() {
            let seen = self.seen.get(stream).copied().unwrap_or(Seen::Enough);
            let now = match seen {
                // Behind the last line break there is nothing, or the beginning of a line.
                _ if number == 0 && segment.is_empty() => seen,
                Seen::Nothing if number == 0 => self.begin(source, false).map_or(Seen::Enough, Seen::Open),
                Seen::Open(_) | Seen::Enough if number == 0 => seen,
                Seen::Nothing | Seen::Open(_) | Seen::Enough => {
                    self.begin(source, true).map_or(Seen::Enough, Seen::Open)
                }
            };
            if let Seen::Open(line) = now {
                self.extend(line, segment);
            }
            if let Some(seen) = self.seen.get_mut(stream) {
                *seen = now;
            }
        }
    }

    /// Some pieces are missing here.
    pub(crate) fn gap(&mut self) {
        for seen in &mut self.seen {
            if let Seen::Open(line) = *seen {
                *seen = Seen::Nothing;
                if let Some((line, _)) = self.lines.get_mut(line) {
                    line.cut = true;
                }
            }
        }
    }

    /// A new line, if there is room for one.
    fn begin(&mut self, source: &S, ended: bool) -> Option<usize> {
        let room = self.room.checked_sub((self.beside)(source)).filter(|_| !self.full);
        let Some(room) = room.filter(|_| self.lines.len() < self.lines_max) else {
            self.older = true;
            self.full |= room.is_none();
            return None;
        };
        self.room = room;
        let line = Line { source: source.clone(), text: String::new(), ended, cut: false };
        self.lines.push((line, Vec::new()));
        Some(self.lines.len() - 1)
    }

    /// More of a line, before what is known of it.
    fn extend(&mut self, line: usize, text: &str) {
        let Some((line, pieces)) = self.lines.get_mut(line) else { return };
        let from = if self.full { text.len() } else { text.ceil_char_boundary(text.len().saturating_sub(self.room)) };
        let fits = text.get(from..).unwrap_or_default();
        self.room = self.room.saturating_sub(fits.len());
        if !fits.is_empty() {
            pieces.push(fits.to_owned());
        }
        if from > 0 {
            line.cut = true;
            self.full = true;
        }
    }

    /// The lines, oldest first, and whether there was something before them. `begins`: whether there is nothing before the
    /// last piece that was taken.
    pub(crate) fn finish(mut self, begins: bool) -> (Vec<Line<S>>, bool) {
        let older = self.older || self.full || !begins;
        if !begins || self.full {
            self.gap();
        }
        let whole = |(mut line, pieces): (Line<S>, Vec<String>)| {
            line.text = pieces.into_iter().rev().collect();
            line
        };
        (self.lines.into_iter().rev().map(whole).collect(), older)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A piece: of stream 0, of stream 1, or (2) a line of the log.
    type Piece = (usize, String);

    fn stream(source: usize) -> Option<usize> {
        Some(source).filter(|source| *source < STREAMS)
    }

    fn forward(pieces: &[Piece]) -> Vec<Line<usize>> {
        let mut lines = Forward::new();
        for (source, text) in pieces {
            lines.push(source, stream(*source), text);
        }
        lines.finish()
    }

    fn backward(pieces: &[Piece], lines_max: usize, bytes_max: usize) -> (Vec<Line<usize>>, bool) {
        let mut lines = Backward::new(lines_max, bytes_max, |_| 1);
        let mut begins = true;
        for (source, text) in pieces.iter().rev() {
            if lines.has_enough() {
                begins = false;
                break;
            }
            lines.push(source, stream(*source), text);
        }
        lines.finish(begins)
    }

    fn piece(source: usize, text: &str) -> Piece {
        (source, text.to_owned())
    }

    fn texts(lines: &[Line<usize>]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// Cuts each piece of a stream in two wherever this says, between characters.
    fn split(pieces: &[Piece], at: &[prop::sample::Index]) -> Vec<Piece> {
        let mut at = at.iter().cycle();
        let mut split = Vec::new();
        for (source, text) in pieces {
            if *source >= STREAMS {
                split.push((*source, text.clone()));
                continue;
            }
            let cut = text.floor_char_boundary(at.next().map_or(0, |at| at.index(text.len() + 1)));
            split.push((*source, text[..cut].to_owned()));
            split.push((*source, text[cut..].to_owned()));
        }
        split
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let text = "[aß€😀\n]{0,12}";
        prop::collection::vec((0..3_usize, text), 0..20)
    }

    #[test]
    fn r44_a_line_through_several_pieces_is_one() {
        let pieces = [piece(0, "one\ntw"), piece(1, "err"), piece(0, "o\n"), piece(2, "logged"), piece(1, "or")];
        let lines = forward(&pieces);
        assert_eq!(texts(&lines), ["one", "two", "logged", "error"]);
        assert!(lines[..3].iter().all(|line| line.ended) && !lines[3].ended);
        assert_eq!(backward(&pieces, 9, 99), (lines, false));
    }

    #[test]
    fn r44_the_tail_counts_lines_and_reads_back_to_their_beginnings() {
        let pieces = [piece(1, "old\nlong "), piece(0, "a\nb\nc\n"), piece(1, "line\n")];
        let (lines, older) = backward(&pieces, 2, 99);
        assert_eq!((texts(&lines), older), (vec!["c", "long line"], true));
        assert!(lines.iter().all(|line| line.ended && !line.cut));
    }

    #[test]
    fn f31_the_oldest_line_is_cut_between_characters() {
        let (lines, older) = backward(&[piece(0, "a€€€\nb\n")], 9, 2 + 1 + 5);
        assert_eq!((texts(&lines), older), (vec!["€", "b"], true));
        assert!(lines[0].cut && !lines[1].cut);
    }

    #[test]
    fn r44_lost_pieces_do_not_join_what_is_around_them() {
        let mut lines = Backward::new(9, 99, |_| 1);
        lines.push(&0, Some(0), "end\nnext\n");
        lines.push(&1, Some(1), "whole\n");
        lines.gap();
        lines.push(&0, Some(0), "begin");
        let (backward, _) = lines.finish(true);
        assert_eq!(texts(&backward), ["begin", "whole", "end", "next"]);
        assert!(!backward[0].ended && !backward[0].cut && backward[1].cut && backward[2].cut && !backward[3].cut);
        let mut lines = Forward::new();
        lines.push(&0, Some(0), "begin");
        lines.gap();
        lines.push(&1, Some(1), "whole\n");
        lines.push(&0, Some(0), "end\nnext\n");
        assert_eq!(lines.finish(), backward);
    }

    #[test]
    fn t06_what_a_line_takes_beside_its_text_is_bounded() {
        let mut lines = Backward::new(9, 25, |_| 10);
        for text in ["c", "b", "a"] {
            lines.push(&2, None, text);
        }
        let (lines, older) = lines.finish(true);
        assert_eq!((texts(&lines), older), (vec!["b", "c"], true));
    }

    proptest! {
        #[test]
        fn r44_lines_do_not_depend_on_how_output_is_cut(
            pieces in pieces(),
            at in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        ) {
            let whole = forward(&pieces);
            prop_assert_eq!(&forward(&split(&pieces, &at)), &whole);
            let (tail, older) = backward(&pieces, usize::MAX, usize::MAX);
            prop_assert_eq!(tail, whole.clone());
            prop_assert!(!older);
            let (tail, _) = backward(&split(&pieces, &at), usize::MAX, usize::MAX);
            prop_assert_eq!(tail, whole);
        }

        #[test]
        fn f31_a_tail_is_the_end_of_all_lines(pieces in pieces(), lines_max in 1..9_usize, bytes_max in 1..40_usize) {
            let (all, _) = backward(&pieces, usize::MAX, usize::MAX);
            let (tail, older) = backward(&pieces, lines_max, bytes_max);
            prop_assert!(tail.len() <= lines_max);
            prop_assert!(tail.iter().map(|line| line.text.len()).sum::<usize>() <= bytes_max);
            let end = &all[all.len() - tail.len()..];
            for (line, whole) in tail.iter().zip(end) {
                prop_assert_eq!((line.source, line.ended), (whole.source, whole.ended));
                prop_assert!(whole.text.ends_with(&line.text));
                prop_assert!(line.cut || line.text == whole.text);
            }
            let is_all = tail.len() == all.len() && tail.iter().all(|line| !line.cut);
            prop_assert!(older || is_all);
        }
    }
}
