package appliance

import (
	"os"
	"slices"
	"strings"
)

// goDebug is the environment that suits Go programs to this processor.
//
// One with AVX2 and without AES instructions is emulated (the lab's, QEMU without hardware support).
// Go's TLS then uses ChaCha20, and its AVX2 code, which an emulator runs in helper functions, is
// three times slower there than the plain code that a processor without SSSE3 gets (measured under
// QEMU 7.2's TCG: 30 and 85 MB/s). AVX2 itself stays on, for SHA-256.
func goDebug(cpuinfo string) []string {
	for _, line := range strings.Split(cpuinfo, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != "flags" {
			continue
		}
		flags := strings.Fields(value)
		if slices.Contains(flags, "avx2") && !slices.Contains(flags, "aes") {
			return []string{"GODEBUG=cpu.ssse3=off"}
		}
		return nil
	}
	return nil
}

// processor reads what goDebug wants to know; without it, nothing is special.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	return string(b)
}
