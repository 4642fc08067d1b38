//! Does what the schedule decides, and tells it how that went.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    EngineError, Progress,
    pending::Pending,
    protocol::JobId,
    queue::{Order, Orders},
    schedule::{Action, Ended},
    scheduler::Scheduler,
    status::add,
    turn::Turn,
};

/// Obeys the schedule, for ever.
pub(super) async fn dispatch(scheduler: Arc<Scheduler>, mut orders: Orders) {
    // Loads and turns; they end with this task.
    let mut tasks = JoinSet::new();
    let mut turn: Option<(JobId, CancellationToken)> = None;
    // Models that are to be there from the start.
    scheduler.queue.tick();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => obey(&scheduler, order, &mut tasks, &mut turn),
                None => return,
            },
            Some(_) = tasks.join_next() => {}
            () = scheduler.queue.tick_due() => scheduler.queue.tick(),
        }
    }
}

fn obey(
    scheduler: &Arc<Scheduler>,
    order: Order,
    tasks: &mut JoinSet<()>,
    turn: &mut Option<(JobId, CancellationToken)>,
) {
    let scheduler = Arc::clone(scheduler);
    match (order.action, order.job) {
        (Action::Start(job), Some(pending)) => {
            let stop = CancellationToken::new();
            *turn = Some((job, stop.clone()));
            tasks.spawn(async move { scheduler.run(&pending, &stop).await });
        }
        // Cancelled before its turn began.
        (Action::Start(job), None) => {
            scheduler.queue.ended(job, Ended::Aborted);
        }
        (Action::Abort(job), _) => {
            if let Some((_, stop)) = turn.as_ref().filter(|(running, _)| *running == job) {
                stop.cancel();
            }
        }
        (
            Action::Load {
                model,
                domain,
                unload,
                job,
            },
            pending,
        ) => {
            if let Some(pending) = pending {
                pending.news.mention(Progress::Loading);
            }
            tasks.spawn(async move {
                let load = AssertUnwindSafe(scheduler.load(model, domain, &unload, job.is_none()));
                let result = load
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|_| Err("rkgate itself failed while loading it".to_owned()));
                scheduler.load_ended(model, result).await;
            });
        }
        (Action::Unload(model), _) => {
            tasks.spawn(async move { scheduler.unload(model).await });
        }
        (
            Action::Withdraw {
                why, retry_after, ..
            },
            Some(pending),
        ) => {
            add(&scheduler.counting.withdrawn, 1);
            tracing::info!(request = pending.request, %why, "job withdrawn");
            pending.state().worker.forget(pending.job);
            pending
                .news
                .end(Err(EngineError::Withdrawn { why, retry_after }));
        }
        // Gone meanwhile; places are told where they are decided.
        (Action::Withdraw { .. } | Action::Place { .. }, _) => {}
    }
}

impl Scheduler {
    /// Runs a job, and tells the schedule and the client how it ended.
    async fn run(self: &Arc<Self>, pending: &Arc<Pending>, stop: &CancellationToken) {
        let turn = AssertUnwindSafe(self.turn(pending, stop))
            .catch_unwind()
            .await;
        let turn = turn.unwrap_or_else(|_| {
            Turn::Failed(EngineError::Run {
                model: pending.slot.card.id.clone(),
                reason: "rkgate itself failed".to_owned(),
            })
        });
        let how = match &turn {
            Turn::Completed(_) => Ended::Completed,
            Turn::Failed(_) => Ended::Failed,
            Turn::Stopped => Ended::Aborted,
            Turn::ModelLost => Ended::ModelLost,
        };
        if !self.queue.ended(pending.job, how) {
            // The client has its answer, or is gone.
            pending.state().worker.forget(pending.job);
            return;
        }
        match turn {
            Turn::Completed(completion) => {
                add(&self.counting.completed, 1);
                pending.news.end(Ok(completion));
            }
            Turn::Failed(error) => self.fail(pending, error),
            Turn::Stopped => add(&self.counting.preempted, 1),
            Turn::ModelLost => {}
        }
    }

    /// Tells the client that the job has failed.
    pub(super) fn fail(&self, pending: &Pending, error: EngineError) {
        // Workers end during a shutdown; that is not their fault.
        let error = if self.closing.is_cancelled() {
            EngineError::ShuttingDown
        } else {
            error
        };
        add(&self.counting.failed, 1);
        tracing::warn!(request = pending.request, %error, "job failed");
        pending.news.end(Err(error));
    }
}
