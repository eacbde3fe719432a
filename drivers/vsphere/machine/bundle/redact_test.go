package bundle

import (
	"strings"
	"testing"
)

func TestSecretsAreRemoved(t *testing.T) {
	r := newRedactor("VMware1!", "")
	for _, in := range []string{
		`password = "hunter2"`, `{"password": "hunter2"}`, `PASSWORD=hunter2 next`, `login with VMware1! failed`,
		"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----",
		"http://joe:hunter2@proxy:3128/", "Authorization: Bearer hunter2", `token: 'hunter2'`,
	} {
		got := string(r.clean([]byte("before " + in + "\nafter")))
		if strings.Contains(got, "hunter2") || strings.Contains(got, "VMware1!") || !strings.Contains(got, removed) ||
			!strings.HasPrefix(got, "before") || !strings.HasSuffix(got, "after") {
			t.Errorf("%q became %q", in, got)
		}
	}
	const plain = "the password was refused\nuser = \"a\"\nhttps://vcenter/sdk"
	if got := string(r.clean([]byte(plain))); got != plain {
		t.Errorf("%q became %q", plain, got)
	}
}
