package provision

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A VCH says that it has the container already, under an ID that would change what the hub asks for next.
func TestAnIDThatIsNone(t *testing.T) {
	w := newWorld(t, "sqlite")
	host, _ := w.vch("one")
	host.Docker.First(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/containers/web/json") {
			return false
		}
		_, _ = io.WriteString(rw, fmt.Sprintf(`{"Id":"../../x?y","State":{"Running":true},"Config":{"Labels":{%q:"1"}}}`, LabelProvision))
		return true
	})
	r := request(`{"Image":"nginx:1"}`)
	r.Name = "web"
	made, err := w.p.Create(t.Context(), r)
	must(t, err)
	if made.ID != 1 {
		t.Fatalf("the request is %d", made.ID)
	}
	w.until("it has ended", func() bool {
		x, err := w.p.Get(t.Context(), project, made.ID)
		must(t, err)
		if x.Status == Done {
			t.Fatalf("its container is %q", x.Container)
		}
		return x.Status == Failed
	})
}
