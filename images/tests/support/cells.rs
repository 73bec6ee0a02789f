//! Images of any size: cells of Koboshi's own four components, one beside the other.

/// An image of so many cells, four components each. The first cell's restart manager restarts everybody.
#[must_use]
pub fn cells(count: usize) -> String {
    let mut text = format!(
        "# {count} cells of four components each: made by `cells` in images/tests/support.\n\n\
         platform = \"host\"\nmanager = \"manager0\"\n"
    );
    for cell in 0..count {
        let manager_vcpu = if cell == 0 { 0 } else { 1 };
        let component = |name: &str, package: &str, vcpu: usize| {
            format!(
                "\n[[component]]\nname = \"{name}{cell}\"\npackage = \"{package}\"\nvcpu = {vcpu}\n\
                 respond-within = \"200 us\"\nrecover-within = \"5 ms\"\n"
            )
        };
        text.push_str(&component("manager", "restart-manager", manager_vcpu));
        text.push_str(&component("sos", "sos", 1));
        text.push_str(&component("driver", "scif-driver", 1));
        text.push_str(&component("monitor", "monitor", 2));
        for (from, to) in [
            ("monitor#.serial", "sos#.serial"),
            ("sos#.driver", "driver#.serial"),
            ("driver#.received", "monitor#.received"),
            ("monitor#.control", "manager#.control"),
            ("sos#.control", "manager#.control-sos"),
            ("monitor#.health", "manager#.health"),
            ("manager#.log", "monitor#.log"),
        ] {
            let connect = format!("\n[[connect]]\nfrom = \"{from}\"\nto = \"{to}\"\nslots = 8\n");
            text.push_str(&connect.replace('#', &cell.to_string()));
        }
        let (base, interrupt) = (0xFFE0_0000 + cell * 0x1_0000, 4 * cell);
        text.push_str(&format!(
            "\n[[device]]\nname = \"scif{cell}\"\nkind = \"scif\"\nowner = \"driver{cell}.scif\"\nlayout = \"sh7780\"\n\
             fifo = 16\nclock = \"64 MHz\"\nline = {{ baud = \"115200 baud\", flow = \"rts-cts\" }}\nbase = {base:#X}\n\
             interrupts = [{interrupt}, {}, {}, {}]\n\n[[device]]\nname = \"program{cell}\"\nkind = \"application\"\n\
             owner = \"monitor{cell}.application\"\n",
            interrupt + 1,
            interrupt + 2,
            interrupt + 3
        ));
    }
    let restarted = |part: usize| {
        let names =
            ["manager", "sos", "driver", "monitor"].into_iter().filter(move |name| part > 0 || *name != "manager");
        names.map(move |name| format!("\"{name}{part}\""))
    };
    let all: Vec<String> = (0..count).flat_map(restarted).collect();
    text.push_str(&format!(
        "\n[rights]\nmanager0 = {{ control = [{}], facts = true, reboot = true }}\n",
        all.join(", ")
    ));
    for cell in 0..count {
        text.push_str(&format!("sos{cell} = {{ blame = true }}\nmonitor{cell} = {{ blame = true }}\n"));
    }
    for (number, members) in all.chunks(32).enumerate() {
        text.push_str(&format!(
            "\n[[group]]\nname = \"group{number}\"\nmembers = [{}]\nstrategy = \"one-for-one\"\nintensity = 10\n\
             period = \"1 s\"\nbackoff = {{ first = \"1 ms\", most = \"100 ms\" }}\nescalate = \"image\"\n",
            members.join(", ")
        ));
    }
    text
}
