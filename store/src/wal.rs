//! The write-ahead log: what makes an acknowledged row survive.
//!
//! A directory of segment files, each a header and then records, one per append:
//!
//! ```text
//! segment = "DMRCWAL1" first_seq:u64 crc:u32                         integers are little-endian
//! record  = "DREC" body_len:u32 crc:u32 seq:u64 body                crc over body_len, seq and body
//! body    = tenant_len:u16 tenant part_count:u8 (table:u8 len:u32 arrow_ipc_stream | 0x80:u8 len:u32 points)*
//! ```
//!
//! `points` are the rows of `samples`, see the module of that name; older versions wrote them as a stream like the others.
//!
//! Sequence numbers rise by one per record, over all tenants. Rules that recovery rests on:
//!
//! - Several appends share one `fdatasync` (group commit); none is acknowledged before it.
//! - A group that failed is cut off again. Where even that may have failed, a new segment begins with the sequence number
//!   that the group was to have: a record whose number is not below the first number of the *next* segment does not count.
//! - A torn tail (an unfinished record at the end) is cut off. A damaged record is put aside in a file of its own,
//!   counted and skipped; the records after it are found again by their marker and checksum.
//! - Numbers that are missing between records, or before the last acknowledged one, are damage and reported.
//! - A recovered log is never appended to: writing goes on in a new segment.

mod body;
mod codec;
mod inspect;
mod mark;
mod points;
mod recovery;
mod segment;
mod writer;

pub use inspect::{LogItem, LogSegment, read_log_segment};

pub(crate) use body::{Body, Payload};
pub(crate) use codec::{Item, push_record, scan, segment_header};
pub(crate) use mark::Mark;
pub(crate) use recovery::{Recovered, recover};
pub(crate) use segment::{Segments, create_dir, sync_dir};
pub(crate) use writer::{Append, Command, Content, Writer};
