package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

func TestClientWithoutCertificateIsRefused(t *testing.T) {
	beside(t)
	c, err := tls.Dial("tcp", harness.DockerAddr, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		// TLS 1.3 tells the client only when it reads.
		defer c.Close()
		fmt.Fprintf(c, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Fatalf("want 'certificate required', got %v", err)
	}
}

// An administrator may let everybody in who reaches the Docker API; the VCH's own containers do not.
func TestAnOpenAPIIsNotForContainers(t *testing.T) {
	apart(t)
	for mode, port := range map[string]string{"--no-tls": "2375", "--no-tlsverify": "2376"} {
		t.Run(mode, func(t *testing.T) {
			docker := open(t, mode, port)
			docker("pull", "-q", "busybox")
			about, err := harness.Command(theLab.Bin("vic-machine"), append([]string{"inspect", "--name", "open"}, theLab.Access()...)...)
			public := regexp.MustCompile(`192\.168\.127\.\d+`).FindString(about)
			if err != nil || public == "" {
				t.Fatal(err, about)
			}
			out := docker("run", "--rm", "busybox", "sh", "-c", "for a in 172.16.0.1 "+public+"; do "+
				"nc -w 5 $a "+port+" </dev/null && echo $a is open; done; nc -w 5 192.168.127.1 53 </dev/null && echo outside")
			if strings.TrimSpace(out) != "outside" {
				t.Errorf("a container says: %s", out)
			}
		})
	}
}

// open makes a VCH whose Docker API asks for no certificate, and returns a docker CLI that has none.
func open(t *testing.T, mode, port string) func(args ...string) string {
	t.Helper()
	iso, certs := filepath.Join(theLab.Build, "iso"), t.TempDir()
	args := append(append([]string{"create"}, theLab.Access()...), "--name", "open", mode, "--compute-resource", "cluster1",
		"--image-store", "datastore1", "--bridge-network", bridge(t, "open"), "--public-network", "public", "--cert-path", certs,
		"--endpoint-memory", "768", "--registry-mirror", "http://"+harness.RegistryHost, "--insecure-registry", harness.RegistryHost,
		"--appliance-iso", filepath.Join(iso, "appliance.iso"), "--bootstrap-iso", filepath.Join(iso, "bootstrap.iso"), "--no-reach-check")
	t.Cleanup(func() {
		args := append([]string{"delete"}, theLab.Access()...)
		if out, err := harness.Command(theLab.Bin("vic-machine"), append(args, "--name", "open", "--force")...); err != nil {
			t.Error(err, out)
		}
	})
	if out, err := harness.Command(theLab.Bin("vic-machine"), args...); err != nil {
		t.Fatal(err, out)
	}
	addr := harness.NextAddress()
	if out, err := harness.Command(theLab.Bin("vic-lab"), "forward", "add", "--dir", theLab.Dir, "open", addr+":"+port); err != nil {
		t.Fatal(err, out)
	}
	env := append(os.Environ(), strings.Fields(wayIn(t, filepath.Join(certs, "open.env"), addr))...)
	env = append(env, "DOCKER_CONFIG="+t.TempDir())
	return func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		cmd := theLab.DockerCmd(ctx, args...)
		cmd.Env = env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("docker %v: %v, %s", args, err, stderr.String())
		}
		return string(out)
	}
}

// wayIn is the environment that vic-machine wrote into a file, for an address that is forwarded to the VCH's.
func wayIn(t *testing.T, file, addr string) string {
	t.Helper()
	env, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return "DOCKER_TLS_VERIFY= DOCKER_TLS= " + regexp.MustCompile(`DOCKER_HOST=\S+`).ReplaceAllString(string(env), "DOCKER_HOST=tcp://"+addr)
}
