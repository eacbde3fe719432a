package e2e

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/openvic/vic/tests/harness"
)

func TestClientWithoutCertificateIsRefused(t *testing.T) {
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
