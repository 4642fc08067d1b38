#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::sync::{Arc, Mutex};

use super::*;

/// A disk that has room for `room` more bytes.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Disk {
    fn set_room(&self, room: usize) {
        self.0.lock().unwrap().0 = room;
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().1.clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (room, text) = &mut *self.0.lock().unwrap();
        if *room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(*room);
        *room -= taken;
        text.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let (disk, dropped) = (Disk::default(), Counter::default());
    let mut writer = LineWriter {
        target: Box::new(disk.clone()),
        dropped: dropped.clone(),
        torn: false,
        said: false,
    };
    let (lines, incoming) = sync_channel(16);
    disk.set_room(9);
    for line in ["one\n", "two two\n", "three\n"] {
        match writer.write(line.as_bytes()) {
            Ok(()) => writer.torn = false,
            Err(error) => writer.lost(&error),
        }
    }
    assert_eq!((disk.text().as_str(), dropped.get()), ("one\ntwo t", 2));
    disk.set_room(100);
    lines.send(Message::Line(b"four\n".to_vec())).unwrap();
    lines.send(Message::Line(b"five\n".to_vec())).unwrap();
    lines.send(Message::End).unwrap();
    writer.run(&incoming);
    assert_eq!(
        disk.text(),
        "one\ntwo t\nfour\nfive\n",
        "a torn line ends before the next one"
    );
}

#[test]
fn a_slow_disk_makes_nobody_wait() {
    let (disk, dropped) = (Disk::default(), Counter::default());
    disk.set_room(usize::MAX);
    let slow = disk.0.lock().unwrap();
    let (mut queue, log) = spawn(Box::new(disk.clone()), dropped.clone(), 4).unwrap();
    for _ in 0..10 {
        queue.write_all(b"line\n").unwrap();
    }
    // The writer holds one line at most and the queue four.
    assert!(dropped.get() >= 5);
    drop(slow);
    drop(log);
    assert_eq!(disk.text().lines().count() as u64 + dropped.get(), 10);
}
