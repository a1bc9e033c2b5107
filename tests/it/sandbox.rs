//! The simulator answers as WeChat does, and its document tells the truth.
