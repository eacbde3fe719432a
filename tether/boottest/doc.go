// Package boottest boots the tether on QEMU with hardware as a VM on vSphere has it, plays the host
// for it, and sees whether containers live as they should. It holds tests only.
//
// The tests are skipped where QEMU, mke2fs, a static busybox or a kernel package is missing. The
// kernel is Debian's cloud kernel, unpacked: in the directory that VIC_TEST_KERNEL names, or where
// contrib/boot keeps it.
package boottest
