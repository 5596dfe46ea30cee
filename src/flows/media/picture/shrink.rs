//! How are the rows of a picture averaged into a smaller one?
//!
//! Each pixel of the thumbnail is the average of what it covers, weighted by the area. What is transparent has no colour.

use super::shape::Geometry;

/// A picture of red, green, blue and how opaque it is, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    pub width: u32,
    pub height: u32,
    pub rgba: Vec<u8>,
}

/// Takes the rows of a picture from top to bottom.
pub struct Shrink {
    geometry: Geometry,
    /// The number of the next row.
    row: u32,
    /// The sums of one row: four for each pixel of the thumbnail.
    across: Vec<u64>,
    /// The sums of the row of the thumbnail that is being made, and of the next one.
    down: [Vec<u64>; 2],
    rgba: Vec<u8>,
}

/// The largest value of a colour.
const OPAQUE: u64 = 255;

impl Shrink {
    pub fn new(geometry: &Geometry) -> Self {
        let sums = || vec![0_u64; 4 * geometry.to.0 as usize];
        Self {
            geometry: *geometry,
            row: 0,
            across: sums(),
            down: [sums(), sums()],
            rgba: Vec::with_capacity(4 * geometry.to.0 as usize * geometry.to.1 as usize),
        }
    }

    /// Takes a row of pixels; what is not shown of it is skipped.
    pub fn push(&mut self, mut pixel: impl FnMut(usize) -> [u8; 4]) {
        let Geometry { from, part, to, .. } = self.geometry;
        let row = self.row;
        self.row = row.saturating_add(1);
        let Some(row) = row.checked_sub(from.1).filter(|row| *row < part.1) else { return };
        self.across.fill(0);
        for column in 0..part.0 {
            let (place, [first, second]) = shares(column, to.0, part.0);
            let [red, green, blue, alpha] = pixel((from.0 + column) as usize).map(u64::from);
            let sums = [red * alpha, green * alpha, blue * alpha, alpha * OPAQUE];
            let begin = 4 * place as usize;
            add(self.across.get_mut(begin..).unwrap_or_default(), &sums, first);
            add(self.across.get_mut(begin + 4..).unwrap_or_default(), &sums, second);
        }
        let (place, [first, second]) = shares(row, to.1, part.1);
        while self.made() < place {
            self.finish_row();
        }
        let [now, next] = &mut self.down;
        add(now, &self.across, first);
        add(next, &self.across, second);
        if row + 1 == part.1 {
            self.finish_row();
        }
    }

    /// The thumbnail, if all rows came.
    pub fn end(self) -> Option<Pixels> {
        let (width, height) = self.geometry.to;
        let is_whole = self.rgba.len() == 4 * width as usize * height as usize;
        is_whole.then_some(Pixels { width, height, rgba: self.rgba })
    }

    /// How many rows of the thumbnail are made.
    fn made(&self) -> u32 {
        (self.rgba.len() / (4 * self.geometry.to.0.max(1) as usize)) as u32
    }

    fn finish_row(&mut self) {
        let Geometry { part, .. } = self.geometry;
        let area = u64::from(part.0) * u64::from(part.1);
        let [now, next] = &mut self.down;
        for sums in now.as_chunks::<4>().0 {
            let [red, green, blue, alpha] = *sums;
            let colour = |sum: u64| average(sum, alpha / OPAQUE);
            let opaque = average(alpha, area.saturating_mul(OPAQUE));
            self.rgba.extend([colour(red), colour(green), colour(blue), opaque]);
        }
        now.fill(0);
        std::mem::swap(now, next);
    }
}

fn average(sum: u64, weight: u64) -> u8 {
    let rounded = (sum + weight / 2).checked_div(weight).unwrap_or_default();
    u8::try_from(rounded).unwrap_or(u8::MAX)
}

/// Where in `to` a place of `of` begins, and how much of it lies there and in the next place: `to` in all. No place
/// covers more than two.
fn shares(place: u32, to: u32, of: u32) -> (u32, [u64; 2]) {
    let (to, of) = (u64::from(to), u64::from(of.max(1)));
    let begin = u64::from(place) * to;
    let first = begin / of;
    let here = ((first + 1) * of - begin).min(to);
    (u32::try_from(first).unwrap_or(u32::MAX), [here, to - here])
}

fn add(to: &mut [u64], some: &[u64], weight: u64) {
    if weight > 0 {
        to.iter_mut().zip(some).for_each(|(sum, value)| *sum += value * weight);
    }
}
