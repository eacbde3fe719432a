package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// shopAddr is where the shop's published port is on this host.
var shopAddr = harness.Address("127.0.0.1", 881)

// compose runs docker compose on the shop.
func compose(t *testing.T, args ...string) harness.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	like := theLab.DockerCmd(ctx)
	cmd := exec.CommandContext(ctx, filepath.Join(theLab.Build, "tools", "docker-compose"),
		append([]string{"--ansi", "never", "--progress", "plain", "-f", "testdata/shop/compose.yaml", "-p", "shop"}, args...)...)
	cmd.Env = like.Env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	r := harness.Result{Stdout: out.String(), Stderr: errOut.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Stderr = -1, r.Stderr+err.Error()
	}
	return r
}

func mustCompose(t *testing.T, args ...string) string {
	t.Helper()
	r := compose(t, args...)
	if r.Code != 0 {
		t.Fatalf("docker compose %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// visit asks the shop through its published port and returns which app answered.
func visit(t *testing.T) string {
	t.Helper()
	var body []byte
	await(t, func() string {
		resp, err := http.Get("http://" + shopAddr + "/")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return resp.Status + " " + string(body)
		}
		return ""
	})
	m := regexp.MustCompile(`^visit \d+\nfrom ([0-9a-f]{12})\n$`).FindStringSubmatch(string(body))
	if m == nil {
		t.Fatalf("the shop says %q", body)
	}
	return m[1]
}

// ofTheShop lists what docker and vSphere know of the shop.
func ofTheShop(t *testing.T) string {
	t.Helper()
	const project = "label=com.docker.compose.project=shop"
	return docker(t, "ps", "-aq", "--filter", project) + docker(t, "volume", "ls", "-q", "--filter", project) +
		docker(t, "network", "ls", "-q", "--filter", project) + named(t, "shop")
}

// TestComposeApplication is the life of an application of three services under docker compose.
func TestComposeApplication(t *testing.T) {
	long(t)
	if _, err := os.Stat(filepath.Join(theLab.Build, "tools", "docker-compose")); err != nil {
		t.Fatalf("%v: make e2e builds it", err)
	}
	for _, image := range []string{"nginx", "postgres"} {
		docker(t, "pull", "-q", image)
	}
	t.Cleanup(func() {
		if t.Failed() { // what the shop says of itself is gone after the next line
			t.Logf("the shop:\n%s\n%s", compose(t, "ps", "-a").Stdout, compose(t, "logs", "--no-color", "--tail", "20").Stdout)
		}
		compose(t, "down", "-v", "--timeout", "1")
	})
	start := time.Now()
	mustCompose(t, "up", "-d")
	progress("docker compose up -d of three services: %.1f s", time.Since(start).Seconds())
	if _, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, harness.VCH, shopAddr+":8081"); err != nil {
		t.Fatal(err)
	}
	visit(t)
	if made := ofTheShop(t); strings.Count(made, "shop") < 3 { // three VMs
		t.Errorf("of the shop there is only:\n%s", made)
	}

	if got := mustCompose(t, "ps", "--format", "{{.Service}} {{.State}} {{.Health}}"); !strings.Contains(got, "db running healthy") ||
		!strings.Contains(got, "proxy running") {
		t.Errorf("compose ps: %q", got)
	}
	if got := mustCompose(t, "logs", "--no-color", "app"); !strings.Contains(got, "GET / HTTP/1.0") {
		t.Errorf("compose logs: %q", got)
	}
	if got := mustCompose(t, "exec", "-T", "db", "psql", "-tAc", "select count(*) > 0 from visits"); got != "t\n" {
		t.Errorf("compose exec: %q", got)
	}
	if r := compose(t, "exec", "-T", "proxy", "getent", "hosts", "db"); r.Code == 0 {
		t.Errorf("proxy sees db, which is on another network: %q", r.Stdout)
	}

	start = time.Now()
	mustCompose(t, "up", "-d", "--scale", "app=3", "--no-recreate")
	progress("docker compose scale to 3: %.1f s", time.Since(start).Seconds())
	mustCompose(t, "restart", "--timeout", "2", "proxy") // nginx asks for names when it starts
	answered := map[string]bool{}
	for range 12 {
		answered[visit(t)] = true
	}
	if len(answered) != 3 {
		t.Errorf("%d of 3 apps answer", len(answered))
	}

	start = time.Now()
	mustCompose(t, "down", "-v", "--timeout", "2")
	progress("docker compose down -v: %.1f s", time.Since(start).Seconds())
	if left := ofTheShop(t); left != "" {
		t.Errorf("compose down left something:\n%s", left)
	}
}
