package dockerapi

import (
	"slices"
	"strings"
)

// capabilityNames are Linux's capabilities in the order of their numbers.
func capabilityNames() []string {
	return strings.Fields("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
		"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE " +
		"SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL " +
		"SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")
}

// defaultCapabilities are the ones that Docker leaves a container.
func defaultCapabilities() []string {
	return strings.Fields("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE")
}

const allCapabilities = "ALL"

// capabilities are the numbers of what is left after --cap-add and --cap-drop, by Docker's rules.
func capabilities(add, drop []string) ([]int, error) {
	add, err := capabilityList("CapAdd", add)
	if err != nil {
		return nil, err
	}
	if drop, err = capabilityList("CapDrop", drop); err != nil {
		return nil, err
	}
	var left []string
	switch {
	case slices.Contains(add, allCapabilities):
		left = capabilityNames()
	case !slices.Contains(drop, allCapabilities):
		left = defaultCapabilities()
	}
	numbers := []int{}
	for n, name := range capabilityNames() {
		if slices.Contains(add, name) || (slices.Contains(left, name) && !slices.Contains(drop, name)) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// capabilityList reads names with or without CAP_, in any case.
func capabilityList(field string, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		n := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if n != allCapabilities && !slices.Contains(capabilityNames(), n) {
			return nil, invalid("invalid %s: unknown capability: %q", field, "CAP_"+n)
		}
		out = append(out, n)
	}
	return out, nil
}

// Docker's lists of paths that are masked, and that cannot be written to.
func maskedPaths() []string {
	return strings.Fields("/proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list " +
		"/proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap")
}

func readOnlyPaths() []string {
	return strings.Fields("/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger")
}
