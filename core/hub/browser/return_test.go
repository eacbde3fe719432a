package browser

import (
	"net/url"
	"strings"
	"testing"
)

// Wherever a link wants a browser to go after the sign-in, it stays at the hub.
func FuzzReturn(f *testing.F) {
	for _, seed := range []string{"/", "/a?b=c#d", "//x", `/\x`, "https://x", "/%2f/x", "/\tx", "/..//x", "javascript:x", "/a:b@c", "\u2028/x"} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "https", Host: "hub.example.com", Path: "/c/oidc/callback"}
	f.Fuzz(func(t *testing.T, s string) {
		got := safeReturn(s)
		// Browsers take a backslash for a slash, and leave out tabs and line ends.
		seen := strings.NewReplacer(`\`, "/", "\t", "", "\r", "", "\n", "").Replace(got)
		to, err := base.Parse(seen)
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || to.User != nil || got != "/" && got != s {
			t.Errorf("%q leads to %v, %v", s, to, err)
		}
	})
}
