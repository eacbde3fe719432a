package engine

import "fmt"

// A container's states are two machines and a fact, an exec's are one more machine, and this file is all of
// their rules:
//
//   - life: where its process and its VM are. It is one machine, not one for the process and one for the
//     VM, because of the products of the two most cannot be (a process that runs in a VM that is off), and
//     what can be differs in what may come next.
//   - removal: how far its removal is. It is one of its own because it can begin in every life, the life
//     goes on below it (the process that is killed for it still ends and tells of that), and a removal
//     that fails leaves the life as it has become.
//   - suspended: whether the VM is suspended on the platform. The life goes on from where it was when the
//     VM is resumed, whatever it was.
//
// Docker's status is a function of the three (status). All are guarded by container.mu and change only by
// container.move and container.moveRemoval, which look the event up in the tables below. An event that a
// state does not list does not apply in it: it changes nothing, and whoever brought it tells nobody. That
// is how news that come twice (from the link and from the platform) or too late are dropped.

// life is where a container's process and its VM are.
type life uint8

// The lives. Those from lifeStarting on have a run: the VM is on, or about to be.
const (
	lifeCreated  life = iota // no process of it has run; the VM is off
	lifeExited               // the last process has ended; the VM is off
	lifeAwaiting             // the VM went off without a user's doing, and the restart policy starts it again after a pause

	lifeStarting       // its first start: the VM boots, the process does not run yet
	lifeStartingExited // a start of one that has run before
	lifeStartingAgain  // a start that the restart policy has begun
	lifeRunning        // the process runs
	lifePaused         // the tether has frozen the processes
	lifeRestarting     // the process has ended; the tether starts it again in the VM that is on
	lifeEnding         // the process has ended for good; the VM is still on
	lifeFailing        // the process could not be started, and none has run before; the VM is still on

	lifeCount
)

// occurrence is what happens to a life.
type occurrence uint8

// The occurrences, and who brings them.
const (
	onBoot       occurrence = iota // a run begins: a user or the policy starts the VM, or the platform shows it on (newRun)
	onBootFailed                   // the VM could not be powered on (power)
	onRuns                         // the process runs, says the tether, or the record of a VM that went off (processRuns)
	onCannotRun                    // the process could not be started (processEnded)
	onEnds                         // the process has ended for good (processEnded)
	onEndsForNow                   // it has ended, and the tether will start it again (applyRestart)
	onRunsAgain                    // the tether has started it again (applyRestart)
	onFreeze                       // the tether has frozen the processes (setFrozen)
	onThaw                         // and lets them go on (setFrozen)
	onOff                          // the VM is off (vmOff)
	onStartAgain                   // the policy will start the VM again (startAgain)
	onStayOff                      // it will not: a user has ended the wait, or the start can never succeed (stayOff)

	occurrenceCount
)

// lifeTable is what may follow what.
var lifeTable = [lifeCount]map[occurrence]life{
	lifeCreated: {onBoot: lifeStarting},
	lifeExited:  {onBoot: lifeStartingExited, onStartAgain: lifeAwaiting},
	lifeAwaiting: {
		onBoot:    lifeStartingAgain,
		onStayOff: lifeExited,
	},
	lifeStarting: {
		onBootFailed: lifeCreated,
		onRuns:       lifeRunning,
		onCannotRun:  lifeFailing,
		onEnds:       lifeEnding,
	},
	lifeStartingExited: {
		onBootFailed: lifeExited,
		onRuns:       lifeRunning,
		onCannotRun:  lifeEnding, // it has run: Docker shows it as exited
		onEnds:       lifeEnding,
	},
	lifeStartingAgain: {
		onBootFailed: lifeAwaiting, // the policy tries again
		onRuns:       lifeRunning,
		onCannotRun:  lifeEnding,
		onEnds:       lifeEnding,
	},
	lifeRunning: {
		onCannotRun:  lifeEnding, // of a run that was found, or the next process of one
		onEnds:       lifeEnding,
		onEndsForNow: lifeRestarting,
		onFreeze:     lifePaused,
	},
	lifePaused: {
		onCannotRun:  lifeEnding,
		onEnds:       lifeEnding,
		onEndsForNow: lifeRestarting,
		onThaw:       lifeRunning,
	},
	lifeRestarting: {
		onCannotRun:  lifeEnding,
		onEnds:       lifeEnding,
		onEndsForNow: lifeRestarting, // processes came and went between two messages
		onRunsAgain:  lifeRunning,
	},
	lifeEnding:  {onOff: lifeExited},
	lifeFailing: {onOff: lifeCreated},
}

// next is the life after an occurrence; false if it does not apply.
func (l life) next(o occurrence) (life, bool) {
	to, ok := lifeTable[l][o]
	if !ok {
		return l, false
	}
	return to, true
}

// hasRun says whether the container has a run: its VM is on, or about to be.
func (l life) hasRun() bool { return l >= lifeStarting }

// starting says whether the process of the run has not begun yet.
func (l life) starting() bool {
	return l == lifeStarting || l == lifeStartingExited || l == lifeStartingAgain
}

// active says whether the process of the run runs, is about to, or will again: what needs a process
// waits for it at the tether.
func (l life) active() bool { return l.hasRun() && !l.ended() }

// ended says whether the process of the run has ended for good while its VM is still on.
func (l life) ended() bool { return l == lifeEnding || l == lifeFailing }

// removal is how far the removal of a container is.
type removal uint8

// The removals.
const (
	removalNone   removal = iota
	removalMarked         // it has begun: nobody else may start, change or remove the container
	removalUnder          // the VM is off and goes with all that belongs to it; Docker's status says so
	removalDone           // nothing of the container is there
	removalCount
)

// removalStep is what happens to a removal.
type removalStep uint8

// The steps, and who brings them.
const (
	removalBegins   removalStep = iota // a user, --rm, or the platform on which the VM is no more (beginRemoval, observeGone)
	removalDestroys                    // the VM is off: from here there is no way back but a failure (destroy)
	removalFails                       // the container stays (Remove)
	removalEnds                        // the VM is no more (drop)
	removalStepCount
)

// removalTable is what may follow what.
var removalTable = [removalCount]map[removalStep]removal{
	removalNone:   {removalBegins: removalMarked},
	removalMarked: {removalDestroys: removalUnder, removalFails: removalNone, removalEnds: removalDone},
	removalUnder:  {removalFails: removalNone, removalEnds: removalDone},
	removalDone:   {},
}

// next is the removal after a step; false if it does not apply.
func (r removal) next(s removalStep) (removal, bool) {
	to, ok := removalTable[r][s]
	if !ok {
		return r, false
	}
	return to, true
}

// status is Docker's word for a container's states.
func status(l life, r removal, suspended bool) Status {
	switch {
	case r == removalUnder || r == removalDone:
		return StatusRemoving
	case suspended && l.active():
		return StatusPaused
	}
	switch l {
	case lifeCreated, lifeStarting, lifeFailing:
		return StatusCreated
	case lifeExited, lifeStartingExited, lifeEnding:
		return StatusExited
	case lifeAwaiting, lifeStartingAgain, lifeRestarting:
		return StatusRestarting
	case lifeRunning:
		return StatusRunning
	case lifePaused:
		return StatusPaused
	}
	panic(fmt.Sprintf("engine: life %d has no status", l)) // a test goes through all of them
}

// execLife is where an exec is: a further process in a container that runs. It is guarded by the mu of its
// container, and changes only by exec.move.
type execLife uint8

// The lives of an exec.
const (
	execCreated  execLife = iota // made; nobody has started it
	execStarting                 // a user has; the tether has not answered yet
	execRunning                  // the tether has started the process
	execEnded                    // the process has ended, could not be started, or went with its VM
	execLifeCount
)

// execOccurrence is what happens to an exec.
type execOccurrence uint8

// The occurrences, and who brings them.
const (
	onExecStart execOccurrence = iota // a user starts it, which is possible once (exec.claim)
	onExecRuns                        // the tether has started the process (StartExec)
	onExecEnds                        // the process has ended or will not be (exec.end)
	execOccurrenceCount
)

// execTable is what may follow what.
var execTable = [execLifeCount]map[execOccurrence]execLife{
	execCreated:  {onExecStart: execStarting},
	execStarting: {onExecRuns: execRunning, onExecEnds: execEnded},
	execRunning:  {onExecEnds: execEnded},
	execEnded:    {},
}

// contact is what the tether of a run has said so far. It only grows.
type contact uint8

// The contacts.
const (
	contactNone     contact = iota // nothing: the VM boots, or the link is down
	contactAnswered                // it has answered: the offsets of the run's output are known
	contactSettled                 // it has said that the process runs, or why it does not
)

// sighting is what the platform has shown of a run's VM, whose messages may be old ones right after the
// power-on. It only grows.
type sighting uint8

// The sightings.
const (
	sightingNone   sighting = iota // nothing since the power-on
	sightingDoubt                  // that it is off, which is being asked again
	sightingSeenOn                 // that it is on: from now on a message that it is off is believed
)

// origin is who began a run.
type origin uint8

// The origins.
const (
	startedHere   origin = iota // this engine powered the VM on
	startedBeside               // an administrator powered it on while this engine looked on
	foundRunning                // it was on when this engine came: nothing of it is told as news
)
