//! Hostile guests, a file for each row of what the host must withstand: each beside a neighbour that goes on, and with
//! nothing left behind.

mod crowd;
mod pacing;
mod paths;
mod slow_disk;
mod soak;
mod t01;
mod t02;
mod t03;
mod t04;
mod t05;
mod t06;
mod t07;
mod t08;
mod t10;
mod t11;
mod t12;
mod t15;
mod t43;
