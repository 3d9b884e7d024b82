//! What a signed request costs before its body is read: the text that is signed, its HMAC, the body's digest.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use micronotifier_actors::protocol::SocketId;
use micronotifier_actors::protocol::sign::{Credential, body_md5, request_text, subscription_text};

fn request(criterion: &mut Criterion) {
    let credential = Credential::new("1234567890", "abcdefghij");
    let digest = body_md5(b"{}");
    let query = [
        ("auth_key", "1234567890"),
        ("auth_timestamp", "1700000000"),
        ("auth_version", "1.0"),
        ("body_md5", digest.as_str()),
    ];
    let text = request_text("POST", "/apps/testapp/events", &query);
    let signature = credential.sign(text.as_bytes());
    criterion.bench_function("signature of a request", |bencher| {
        bencher.iter(|| {
            let text = request_text("POST", "/apps/testapp/events", black_box(&query));
            assert!(credential.verifies(&[text.as_bytes()], &signature));
        });
    });
}

fn subscription(criterion: &mut Criterion) {
    let credential = Credential::new("1234567890", "abcdefghij");
    let socket = SocketId::new(1234, 1234);
    let signature = credential.sign(subscription_text(socket, "private-room", None).as_bytes());
    criterion.bench_function("signature of a subscription", |bencher| {
        bencher.iter(|| {
            let text = subscription_text(black_box(socket), "private-room", None);
            assert!(credential.verifies(&[text.as_bytes()], &signature));
        });
    });
}

fn digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body_md5");
    for size in [128_usize, 1024, 10 * 1024] {
        let body = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} bytes"), |bencher| {
            bencher.iter(|| body_md5(black_box(&body)));
        });
    }
    group.finish();
}

criterion_group!(benches, request, subscription, digest);
criterion_main!(benches);
