import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/** A resource manager and node managers in one process: `MiniYarn <yarn-site.xml to write> <nodes> <name=value>…`. */
public class MiniYarn {
    /** Serves until its input ends; a line with a number stops the node manager of this number. */
    public static void main(String[] arguments) {
        try {
            serve(arguments);
            System.exit(0); // not cluster.stop(), which waits for containers; they end with their process group
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1); // else YARN's threads would live on
        }
    }

    private static void serve(String[] arguments) throws Exception {
        YarnConfiguration conf = new YarnConfiguration();
        for (int i = 2; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            conf.set(pair[0], pair[1]);
        }
        MiniYARNCluster cluster = new MiniYARNCluster("stocketl", Integer.parseInt(arguments[1]), 1, 1);
        cluster.init(conf);
        cluster.start();
        if (!cluster.waitForNodeManagersToConnect(120_000)) {
            throw new IllegalStateException("the node managers did not connect within two minutes");
        }
        try (OutputStream file = new FileOutputStream(arguments[0])) {
            cluster.getConfig().writeXml(file);
        }
        System.out.println("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            cluster.getNodeManager(Integer.parseInt(line.trim())).stop();
            System.out.println("stopped " + line.trim());
        }
    }
}
