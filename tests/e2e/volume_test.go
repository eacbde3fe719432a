package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openvic/vic/tests/harness"
)

// volume makes sure that a volume is gone when the test ends.
func volume(t *testing.T, name string) string {
	t.Helper()
	t.Cleanup(func() {
		if r := dockerRun(context.Background(), nil, "volume", "rm", "-f", name); r.Code != 0 {
			t.Errorf("volume %s stays: %s", name, r.Stderr)
		}
	})
	return name
}

// storeDir is where the default volume store's volumes lie on this machine.
func storeDir() string {
	return filepath.Join(theLab.Dir, "datastores", "datastore1", harness.VCH+"-volumes", "volumes")
}

func volumeNames(t *testing.T) string {
	t.Helper()
	return strings.Join(strings.Fields(docker(t, "volume", "ls", "-q")), " ")
}

func TestPostgresKeepsItsData(t *testing.T) {
	beside(t)
	volume(t, "pgdata")
	run := func() {
		docker(t, "run", "-d", "--name", "pg", "-m", "256m", "-v", "pgdata:/var/lib/postgresql/data", "postgres")
		t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-fv", "pg") })
		took := await(t, func() string {
			if r := dockerRun(t.Context(), nil, "exec", "pg", "psql", "-Upostgres", "-c", "select 1"); r.Code != 0 {
				return r.Stderr
			}
			return ""
		})
		progress("postgres answers %.1f s after docker run", took.Seconds())
	}
	sql := func(s string) string {
		return strings.TrimSpace(docker(t, "exec", "pg", "psql", "-Upostgres", "-At", "-c", s))
	}
	run()
	if got := docker(t, "exec", "pg", "sh", "-c", "stat -c '%U %a' $PGDATA; ls $PGDATA | grep -c lost+found || true"); got != "postgres 700\n0\n" {
		t.Errorf("the volume's directory: %s", got)
	}
	sql("create table t (n int); insert into t select generate_series(1, 1000)")
	docker(t, "stop", "pg")
	docker(t, "rm", "pg")
	if _, err := os.Stat(filepath.Join(storeDir(), "pgdata", "pgdata.vmdk")); err != nil {
		t.Fatal("the disk went with its container:", err)
	}
	run()
	if got := sql("select count(*), sum(n) from t"); got != "1000|500500" {
		t.Errorf("after rm and a new container: %q", got)
	}
	// The power goes while it writes.
	sql("create table u (n int); insert into u values (1)")
	docker(t, "kill", "pg")
	docker(t, "rm", "-v", "pg")
	run()
	if got := sql("select count(*) from u"); got != "1" {
		t.Errorf("after kill: %q", got)
	}
}

func TestVolumeGetsTheImagesContent(t *testing.T) {
	beside(t)
	volume(t, "etc")
	volume(t, "empty")
	sh := func(mount, script string) string {
		t.Helper()
		return docker(t, "run", "--rm", "-v", mount, "busybox", "sh", "-c", script)
	}
	if got := sh("etc:/etc", "cut -d: -f1 /etc/passwd | head -1; touch /etc/mine; stat -c %a /etc"); got != "root\n755\n" {
		t.Errorf("a new volume: %q", got)
	}
	if got := sh("etc:/data:ro", "ls /data/mine /data/passwd; touch /data/x 2>&1; true"); !strings.Contains(got, "/data/mine\n/data/passwd\n") ||
		!strings.Contains(got, "Read-only file system") {
		t.Errorf("read-only: %q", got)
	}
	if got := sh("empty:/etc:nocopy", "ls -a /etc | grep -v -e '^hosts$' -e '^hostname$' -e '^resolv.conf$' | tr '\n' ' '"); got != ". .. " {
		t.Errorf("nocopy: %q", got)
	}
	if got := sh("etc:/a", "stat -c %a /tmp; df -P /a | tail -1 | awk '{print ($2 > 900000 && $2 < 1048576)}'"); got != "1777\n1\n" {
		t.Errorf("the default size: %q", got)
	}
}

func TestVolumesFromAndAnonymousVolumes(t *testing.T) {
	alone(t)
	docker(t, "volume", "prune", "-f")
	before := volumeNames(t)
	docker(t, "run", "--name", "from", "-v", "/data", "busybox", "sh", "-c", "echo kept >/data/f")
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-fv", "from") })
	if got := docker(t, "run", "--rm", "--volumes-from", "from:ro", "-v", "/other", "busybox", "sh", "-c",
		"cat /data/f; touch /data/g 2>&1; true"); !strings.HasPrefix(got, "kept\n") || !strings.Contains(got, "Read-only") {
		t.Errorf("volumes-from: %q", got)
	}
	if got := strings.Fields(volumeNames(t)); len(got) != len(strings.Fields(before))+1 {
		t.Errorf("--rm took more or less than its own: %v, before %s", got, before)
	}
	docker(t, "rm", "-v", "from")
	if after := volumeNames(t); after != before {
		t.Errorf("rm -v left %s, before %s", after, before)
	}
	docker(t, "rm", strings.TrimSpace(docker(t, "create", "-v", "/left", "busybox")))
	if out := docker(t, "volume", "prune", "-f"); !strings.Contains(out, "Deleted Volumes:") || strings.Contains(out, "space: 0B") || volumeNames(t) != before {
		t.Errorf("prune: %s left %s", out, volumeNames(t))
	}
}

func TestAVolumeIsForOneRunningContainer(t *testing.T) {
	beside(t)
	volume(t, "one")
	container(t, "--name", "holder", "-v", "one:/data", "busybox", "sleep", "36000")
	container2 := strings.TrimSpace(docker(t, "create", "--name", "second", "-v", "one:/data", "busybox", "cat", "/data/f"))
	t.Cleanup(func() { dockerRun(context.Background(), nil, "rm", "-f", container2) })
	r := dockerRun(t.Context(), nil, "start", "second")
	if r.Code == 0 || !strings.Contains(r.Stderr, `volume "one" is in use by container holder (`) {
		t.Fatalf("a second container: %+v", r)
	}
	if r := dockerRun(t.Context(), nil, "volume", "rm", "one"); r.Code == 0 || !strings.Contains(r.Stderr, "remove one: volume is in use - [") {
		t.Errorf("rm of a volume in use: %+v", r)
	}
	if out, err := theLab.Vic("volume", "grow", "one", "2GB"); err == nil || !strings.Contains(out, "holder") {
		t.Errorf("grow of a volume in use: %s %v", out, err)
	}
	docker(t, "exec", "holder", "sh", "-c", "echo there >/data/f")
	docker(t, "kill", "holder")
	start := time.Now()
	if got := docker(t, "start", "-a", "second"); got != "there\n" {
		t.Errorf("after a kill: %q", got)
	}
	progress("a killed container's volume served the next after %.1f s", time.Since(start).Seconds())
	if out, err := theLab.Vic("volume", "grow", "one", "2GB"); err != nil || !strings.Contains(out, "2048 MB") {
		t.Errorf("grow: %s %v", out, err)
	}
	got := docker(t, "run", "--rm", "-v", "one:/data", "busybox", "sh", "-c", "cat /data/f; df -P /data | tail -1 | awk '{print ($2 > 1900000)}'")
	if got != "there\n1\n" {
		t.Errorf("after growth: %q", got)
	}
}

func TestManyContainersShareAnNFSVolume(t *testing.T) {
	beside(t)
	docker(t, "volume", "create", "-o", "VolumeStore=shared", volume(t, "web"))
	start := time.Now()
	one := container(t, "-v", "web:/web", "busybox", "sh", "-c", "echo one >/web/one; sleep 36000")
	progress("a container with an NFS volume started in %.1f s", time.Since(start).Seconds())
	two := container(t, "-v", "web:/web:ro", "busybox", "sleep", "36000")
	await(t, func() string {
		r := dockerRun(t.Context(), nil, "exec", two, "cat", "/web/one")
		if r.Stdout != "one\n" {
			return r.Stdout + r.Stderr
		}
		return ""
	})
	if r := dockerRun(t.Context(), nil, "exec", two, "touch", "/web/x"); r.Code == 0 || !strings.Contains(r.Stderr, "Read-only") {
		t.Errorf("read-only: %+v", r)
	}
	docker(t, "exec", one, "sh", "-c", "mkdir /web/d; mv /web/one /web/d/; chown 33:33 /web/d; ln -s d /web/l")
	if got := docker(t, "run", "--rm", "-v", "web:/web", "busybox", "sh", "-c", "cat /web/l/one; stat -c %u:%g /web/d"); got != "one\n33:33\n" {
		t.Errorf("a third container: %q", got)
	}
	if got := docker(t, "exec", one, "sh", "-c", "grep ' /web ' /proc/mounts | cut -d' ' -f3"); got != "nfs\n" {
		t.Errorf("mounted as %q", got)
	}
}

func TestHostPathsAreRefused(t *testing.T) {
	beside(t)
	r := dockerRun(t.Context(), nil, "run", "--rm", "-v", "/tmp:/data", "busybox", "true")
	if r.Code != 125 || !strings.Contains(r.Stderr, "docker volume create") {
		t.Fatalf("%+v", r)
	}
}

func TestKillOfVicdWhileAVolumeIsMade(t *testing.T) {
	alone(t)
	volume(t, "half")
	made := theLab.DockerCmd(context.Background(), "volume", "create", "half")
	if err := made.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() string {
		if _, err := os.Stat(filepath.Join(storeDir(), "half", "half.vmdk")); err != nil {
			return err.Error()
		}
		return ""
	})
	_, _ = theLab.Vic("exec", "--", "sh", "-c", "kill -9 $(pidof vicd)")
	_ = made.Wait()
	serving(t)
	listed := strings.Contains(" "+volumeNames(t)+" ", " half ")
	_, err := os.Stat(filepath.Join(storeDir(), "half", "half.vmdk"))
	_, whole := os.Stat(filepath.Join(storeDir(), "half", "volume.json"))
	if listed != (err == nil) || listed != (whole == nil) {
		t.Errorf("listed %v, disk %v, description %v", listed, err, whole)
	}
	progress("killed in the middle: the volume was %s", map[bool]string{true: "whole", false: "taken away"}[listed])
	if got := docker(t, "run", "--rm", "-v", "half:/data", "busybox", "sh", "-c", "ls /data | wc -l"); strings.TrimSpace(got) != "0" {
		t.Errorf("made again it holds %q", got)
	}
}
