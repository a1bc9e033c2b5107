//! The platforms' simulator and the echo upstream, for demos and tests. Nothing of it runs under `hufu serve`.
