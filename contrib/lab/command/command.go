// Package command is the command line of vic-lab.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/contrib/lab"
	"github.com/openvic/vic/contrib/lab/public"
)

// downTimeout is more than guests get to shut down.
const downTimeout = time.Minute

// App returns the program.
func App() *cli.App {
	dir := &cli.StringFlag{Name: "dir", Value: "build/lab", EnvVars: []string{"VIC_LAB_DIR"}, Usage: "folder for all that the lab keeps"}
	return &cli.App{
		Name:            "vic-lab",
		Usage:           "a vSphere on one Linux machine",
		HideHelpCommand: true,
		Commands: []*cli.Command{
			upCommand(dir),
			{Name: "down", Usage: "shut the guests down and stop the lab; `up` brings all of it back", Action: down,
				Flags: []cli.Flag{dir, &cli.BoolFlag{Name: "drop-hosts", Usage: "take the lab's names out of /etc/hosts"}}},
			{Name: "status", Usage: "say what runs", Flags: []cli.Flag{dir, &cli.BoolFlag{Name: "json"}}, Action: status},
			{Name: "logs", Usage: "print the lab's log", Flags: []cli.Flag{dir}, Action: logs},
			forwardCommand(dir),
			userCommand(dir), groupCommand(dir), ssoCommand(dir),
		},
	}
}

func forwardCommand(dir cli.Flag) *cli.Command {
	return &cli.Command{Name: "forward", Usage: "make ports of VMs reachable on loopback", Subcommands: []*cli.Command{
		{Name: "add", Usage: "add a forward", ArgsUsage: "VM ADDRESS:PORT:VMPORT", Action: forwardAdd,
			Flags: []cli.Flag{dir, &cli.StringFlag{Name: "network", Value: "public", Usage: "`port group` on which the VM is reached: public or client"}}},
		{Name: "rm", Usage: "remove the forwards of a VM, or one of them", ArgsUsage: "VM [ADDRESS:PORT]", Flags: []cli.Flag{dir}, Action: forwardRemove},
		{Name: "ls", Usage: "list forwards", Flags: []cli.Flag{dir}, Action: forwardList},
	}}
}

func client(c *cli.Context) *lab.Client { return lab.NewClient(c.String("dir")) }

func down(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, downTimeout)
	defer cancel()
	err := client(c).Down(ctx)
	if errors.Is(err, lab.ErrNotRunning) {
		fmt.Fprintln(c.App.Writer, "no lab runs")
		err = nil
	}
	if err == nil && c.Bool("drop-hosts") {
		err = dropHosts(hostsFile)
	}
	return err
}

func status(c *cli.Context) error {
	s, err := client(c).Status(c.Context)
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		return s.Print(c.App.Writer)
	}
	e := json.NewEncoder(c.App.Writer)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

func logs(c *cli.Context) error {
	f, err := os.Open(logFile(c.String("dir")))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(c.App.Writer, f)
	return err
}

func logFile(dir string) string { return filepath.Join(dir, "lab.log") }

func forwardAdd(c *cli.Context) error {
	if c.NArg() != 2 {
		return cli.Exit("want a VM and ADDRESS:PORT:VMPORT, for example: vic-lab forward add vch1 127.0.0.1:2376:2376", 2)
	}
	f, err := public.ParseForward(c.Args().Get(0), c.Args().Get(1))
	if err != nil {
		return err
	}
	f.Network = c.String("network")
	return client(c).AddForward(c.Context, f)
}

func forwardRemove(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return cli.Exit("want a VM, and an ADDRESS:PORT to remove one forward only", 2)
	}
	return client(c).RemoveForward(c.Context, c.Args().Get(0), c.Args().Get(1))
}

func forwardList(c *cli.Context) error {
	s, err := client(c).Status(c.Context)
	if err != nil {
		return err
	}
	for _, f := range s.Forwards {
		fmt.Fprintf(c.App.Writer, "%s %s:%d\n", f.VM, f.Listen, f.Port)
	}
	return nil
}
