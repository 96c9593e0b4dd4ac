//! The last descriptor of the process goes to a client whose session lives on another shard: moving it there
//! takes one more for a moment, which the shard has kept. Alone in its file, because it lowers the limit of the
//! process.

mod harness;

use std::fs::File;
use std::os::fd::AsRawFd;

use harness::{Client, PATIENCE, address, drivers, options};
use ringmq_rt::start;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens files until no number below the largest one in use is free; that number comes with them.
fn fill_gaps() -> (Vec<File>, u64) {
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let largest = numbers.max().unwrap();
    let mut files = Vec::new();
    loop {
        let file = File::open("/dev/null").unwrap();
        let number = file.as_raw_fd();
        files.push(file);
        if number >= largest {
            return (files, number as u64);
        }
    }
}

#[test]
fn the_last_descriptor_lets_one_more_client_in_wherever_its_session_lives() {
    let limit = getrlimit(Resource::Nofile);
    for driver in drivers() {
        let running = start(options(driver, 4)).unwrap();
        let address = address(&running);
        let mut clients = Vec::new();
        for number in 0..24 {
            let (_gaps, largest) = fill_gaps();
            // One for the client's own socket, one for the broker's end of it.
            setrlimit(Resource::Nofile, Rlimit { current: Some(largest + 3), ..limit }).unwrap();
            let mut client = Client::socket(address);
            client.send(&Client::connect_packet(&format!("client-{number}")));
            assert_eq!(client.receive(), (0x20, vec![0, 0]), "{driver:?}, client {number}");
            client.ping();
            setrlimit(Resource::Nofile, limit).unwrap();
            clients.push(client);
        }
        assert_eq!(running.stop(PATIENCE).left, 0);
    }
}
