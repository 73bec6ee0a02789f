//! The restart manager's own deaths.

use super::*;

/// Strikes the manager at these of its points, each counted from the strike before; false if it did not come to all.
fn strike_the_manager(house: &mut House, points: &[u64], span: u64) -> bool {
    let before = house.machine.struck().len();
    for after_points in points {
        house.machine.plan(Planned { component: MANAGER, after_points: *after_points, strike: Strike::Crash });
    }
    house.run(span);
    house.machine.struck().len() == before + points.len()
}

#[test]
fn the_manager_may_die_at_any_of_its_points_during_a_group_restart() {
    let mut point = 0;
    loop {
        point += 1;
        let mut house = House::new(&all_together(Strategy::OneForAll));
        house.machine.knock(DRIVER, How::Panic);
        let struck = strike_the_manager(&mut house, &[point], 100 * MS);
        assert_eq!(house.epochs(), [2, 2, 2], "struck at point {point}");
        assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running), "struck at point {point}");
        if !struck {
            break;
        }
    }
    assert!(point > 10, "five commands have ten points");
}

#[test]
fn the_manager_may_die_twice_at_any_of_its_points_during_an_escalation() {
    for first in 1..40 {
        for second in [1, 2, 5, 9, 12] {
            let mut house = House::new(&sos_and_drivers());
            house.mood(DRIVER, Mood::Broken);
            house.machine.knock(DRIVER, How::Panic);
            // Up to the third pause: the next death escalates.
            while house.facts(DRIVER).fruitless.count() < 3 {
                house.run(MS);
            }
            strike_the_manager(&mut house, &[first, second], 60 * MS);
            let case = format!("struck at point {first}, then {second}");
            assert_eq!(house.facts(SOS).epoch, 2, "{case}");
            assert_eq!(house.facts(OTHER).epoch, 2, "{case}");
            assert_eq!(house.machine.reboots(), 0, "{case}");
            house.mood(DRIVER, Mood::Well);
            house.run(100 * MS);
            assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running), "{case}");
        }
    }
}

#[test]
fn the_manager_may_die_at_any_of_its_points_while_it_reboots_a_group_on_demand() {
    let mut point = 0;
    loop {
        point += 1;
        let mut house = House::new(&all_together(Strategy::OneForOne));
        house.shared(|shared| shared.asks.push_back(Ask::Reboot(Reboot { group: 0, at_or_before: 1 })));
        let struck = strike_the_manager(&mut house, &[point], 100 * MS);
        assert_eq!(house.shared(|shared| shared.told.pop()), Some(Told::Done(Ok(()))), "struck at point {point}");
        assert_eq!(house.epochs(), [2, 2, 2], "struck at point {point}");
        if !struck {
            break;
        }
    }
    assert!(point > 12);
}

#[test]
fn a_manager_that_dies_three_times_without_a_command_reboots_the_image() {
    let mut house = House::new(&each_alone());
    // The first of these lives has started everybody: that was progress.
    house.machine.knock(DRIVER, How::Panic);
    assert!(strike_the_manager(&mut house, &[1, 1, 1], 50 * MS));
    assert_eq!(house.machine.reboots(), 0);
    house.machine.knock(DRIVER, How::Panic);
    assert!(strike_the_manager(&mut house, &[1, 1, 1, 1], 50 * MS));
    assert_eq!(house.machine.reboots(), 1);
    house.run(100 * MS);
    assert!(DOLLS.iter().all(|id| house.state(*id) == State::Running));
}

#[test]
fn a_manager_that_dies_after_each_command_reboots_nothing() {
    let mut house = House::new(&each_alone());
    for _ in 0..10 {
        house.keep_busy(DRIVER);
        house.run(5 * MS);
        let manager = house.facts(MANAGER).epoch;
        house.machine.knock(DRIVER, How::Panic);
        // Just behind its first command: three waits at ports, the command, and the point behind it.
        assert!(strike_the_manager(&mut house, &[5], 20 * MS));
        assert_eq!(house.facts(MANAGER).epoch, manager + 1);
    }
    assert_eq!(house.machine.reboots(), 0);
    assert_eq!(house.epochs(), [1, 11, 1]);
}
