import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

/** Reads JSON lines {message, version, hex}; answers each with {value, hex}: what Apache's own class read, and how it writes that. */
public class KafkaOracle {
  public static void main(String[] args) throws Exception {
    ObjectMapper mapper = new ObjectMapper();
    HexFormat hex = HexFormat.of();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonNode row = mapper.readTree(line);
      short version = (short) row.get("version").asInt();
      String name = "org.apache.kafka.common.message." + row.get("message").asText() + "Data";
      Message message = (Message) Class.forName(name).getConstructor().newInstance();
      ByteBuffer bytes = ByteBuffer.wrap(hex.parseHex(row.get("hex").asText()));
      message.read(new ByteBufferAccessor(bytes), version);
      if (bytes.hasRemaining()) throw new IllegalStateException(bytes.remaining() + " bytes left of " + line);
      JsonNode value = (JsonNode) Class.forName(name + "JsonConverter")
          .getMethod("write", message.getClass(), short.class).invoke(null, message, version);
      ByteBuffer again = MessageUtil.toByteBufferAccessor(message, version).buffer();
      byte[] written = new byte[again.remaining()];
      again.get(written);
      System.out.println("{\"value\":" + mapper.writeValueAsString(value) + ",\"hex\":\"" + hex.formatHex(written) + "\"}");
    }
  }
}
