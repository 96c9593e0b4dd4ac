//! The program that counts what starting and stopping brokers costs, run short: it ends with exit code 0 only
//! if nothing adds up.

mod harness;

use std::process::Command;

use ringmq::DriverChoice;

#[test]
fn cycles_and_many_brokers_at_once_leave_nothing_on_either_driver() {
    let arguments = ["--cycles", "50", "--brokers", "5"];
    let output = Command::new(harness::example("lifecycle")).args(arguments).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    for driver in harness::drivers() {
        let name = if driver == DriverChoice::Epoll { "epoll" } else { "uring" };
        for other_threads in [0, 8] {
            let row = format!("\n{name}   {other_threads} ");
            assert!(said.contains(&row), "{row} is missing in {said}");
        }
    }
}
