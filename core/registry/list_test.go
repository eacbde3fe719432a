package registry

import (
	"slices"
	"testing"
)

// A page of tags that was read a moment ago is read anew when a tag comes, goes or moves, and has the same header again if not.
func TestAPageOfTagsIsAsOfNow(t *testing.T) {
	each(t, func(x *world) {
		b := x.blob("p/a", random(10))
		first := x.image("p/a", "v1", b)
		read := func(page string, want ...string) string {
			t.Helper()
			var next string
			for range 2 {
				a := x.want(200, "GET", "/v2/p/a/tags/list"+page, nil)
				if got := tagsOf(t, a.body); !slices.Equal(got, want) {
					t.Errorf("%q: %q, want %q", page, got, want)
				}
				next = a.header.Get("Link")
			}
			return next
		}
		read("", "v1")
		x.image("p/a", "v2", b)
		read("", "v1", "v2")
		if next := read("?n=1", "v1"); next != `</v2/p/a/tags/list?last=v1&n=1>; rel="next"` {
			t.Errorf("the next page is %q", next)
		}
		if next := read("?n=1&last=v1", "v2"); next != "" {
			t.Errorf("there is another page, %q", next)
		}
		x.want(202, "DELETE", "/v2/p/a/manifests/v2", nil)
		read("", "v1")
		x.delete("p/a", first.Digest)
		read("")
		x.want(404, "GET", "/v2/p/b/tags/list", nil)
	})
}
