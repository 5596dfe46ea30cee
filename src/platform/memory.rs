//! What may be remembered outside the database, and for how long?
//!
//! Both stores only ever hold what can be computed again.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
};

/// One object's hot state: lost on rollback, on a fault and on eviction.
#[derive(Default)]
pub struct Memory {
    states: RefCell<BTreeMap<TypeId, Box<dyn Any>>>,
}

impl Memory {
    /// Works on this object's `T`, which starts as its default. Within `work` the `T` is checked
    /// out: an inner call for the same type would start from the default and be overwritten.
    pub fn with<T: Default + 'static, R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let kept = self.states.borrow_mut().remove(&TypeId::of::<T>());
        let mut state = kept.and_then(|state| state.downcast::<T>().ok()).unwrap_or_default();
        let result = work(&mut state);
        self.states.borrow_mut().insert(TypeId::of::<T>(), state);
        result
    }

    /// Whether there is nothing to forget.
    pub fn is_empty(&self) -> bool {
        self.states.borrow().is_empty()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.states.borrow_mut().clear();
    }
}

/// What one isolate remembers, by type: shared by everything that runs in it, lost with it.
#[derive(Default)]
pub struct Isolate {
    values: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
}

impl Isolate {
    /// This isolate's `T`, made at first use.
    pub fn of<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let kept = self.values.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(value) = kept.and_then(|value| value.downcast::<T>().ok()) {
            return value;
        }
        // Not borrowed here: `make` may itself ask for another type.
        let value = Rc::new(make());
        self.values.borrow_mut().insert(TypeId::of::<T>(), Rc::<T>::clone(&value));
        value
    }
}
