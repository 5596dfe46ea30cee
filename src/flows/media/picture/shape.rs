//! Which part of a picture is shown, and how large? ([thumbnails](https://spec.matrix.org/v1.19/client-server-api/#thumbnails))

/// How a picture is made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// All of it, within the size.
    Scale,
    /// Its middle, in the proportions of the size.
    Crop,
}

/// The size of a thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub width: u32,
    pub height: u32,
    pub method: Method,
}

/// Which pixels of a picture make a thumbnail of which size. Never is it larger than what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Of the picture, as it is stored.
    pub size: (u32, u32),
    /// What of it is shown: its left upper corner, and its size.
    pub from: (u32, u32),
    pub part: (u32, u32),
    /// The size of the thumbnail, as long as it is not turned upright.
    pub to: (u32, u32),
}

impl Geometry {
    pub fn of(size: (u32, u32), orientation: u8, shape: Shape) -> Self {
        // The picture lies on its side: so does the size that is wanted.
        let (width, height) = match orientation {
            5..=8 => (shape.height, shape.width),
            _ => (shape.width, shape.height),
        };
        let wide = u64::from(size.0) * u64::from(height);
        let high = u64::from(size.1) * u64::from(width);
        let (width, height) = (width.min(size.0), height.min(size.1));
        match shape.method {
            Method::Scale if width == size.0 && height == size.1 => Self::whole(size, size),
            // The picture is wider than the size: its width decides.
            Method::Scale if wide >= high => {
                Self::whole(size, (width, share(size.1, width, size.0)))
            }
            Method::Scale => Self::whole(size, (share(size.0, height, size.1), height)),
            Method::Crop => {
                let part = part(size, (width, height));
                let from = ((size.0 - part.0) / 2, (size.1 - part.1) / 2);
                Self { size, from, part, to: (width, height) }
            }
        }
    }

    fn whole(size: (u32, u32), to: (u32, u32)) -> Self {
        Self { size, from: (0, 0), part: size, to }
    }

    /// The same for the picture at another size.
    pub fn scaled(&self, size: (u32, u32)) -> Self {
        let to = (self.to.0.min(size.0), self.to.1.min(size.1));
        let part = (
            share(self.part.0, size.0, self.size.0).clamp(to.0, size.0),
            share(self.part.1, size.1, self.size.1).clamp(to.1, size.1),
        );
        let from = ((size.0 - part.0) / 2, (size.1 - part.1) / 2);
        Self { size, from, part, to }
    }

    /// Whether the thumbnail would be the picture itself.
    pub fn is_whole(&self) -> bool {
        self.to == self.size
    }
}

/// The largest part of the picture that has these proportions.
fn part(size: (u32, u32), to: (u32, u32)) -> (u32, u32) {
    if u64::from(size.0) * u64::from(to.1) >= u64::from(size.1) * u64::from(to.0) {
        (share(size.1, to.0, to.1).clamp(to.0, size.0), size.1)
    } else {
        (size.0, share(size.0, to.1, to.0).clamp(to.1, size.1))
    }
}

/// `of * numerator / denominator`, at least 1.
fn share(of: u32, numerator: u32, denominator: u32) -> u32 {
    let share = u64::from(of) * u64::from(numerator) / u64::from(denominator.max(1));
    u32::try_from(share).unwrap_or(u32::MAX).max(1)
}
