package spawn

import "testing"

func TestCgroupPath(t *testing.T) {
	const own = "/sys/fs/cgroup/container"
	for text, want := range map[string]string{
		"0::/container\n":                own,
		"0::/container/init\n":           own + "/init",
		"1:cpu:/x\n0::/container/a b\n":  own + "/a b",
		"0::/\n":                         own,
		"0::/container/../../etc\n":      own,
		"0::/container2\n":               own,
		"":                               own,
		"0::/container/gone (deleted)\n": own + "/gone (deleted)",
	} {
		if got := cgroupPath(text, own); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
